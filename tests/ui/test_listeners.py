"""Nothing is done for nobody: floods that no one reads keep no one out, and work that no one can find is given back."""

import asyncio
import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain

import httpx
import pytest

from maskunet.methods import SPECS
from maskunet.studio.queue import FOLLOWERS
from maskunet.studio.studio import Studio
from maskunet.ui import controls
from maskunet.ui.server import listeners
from maskunet.ui.server.listeners import Listeners, Streams
from maskunet.ui.tabs import explore
from tests.support.serving import served
from tests.ui.test_security import call

WAIT = 60  # seconds; a slow machine under load
AT_ONCE = 30  # seconds within which stopping and reading answer on a slow machine; what else is there takes longer
GRACE = 0.5
COMPARE = ("a red cube", "", 1, "tiny")


def slow(*given):
    for event in SPECS["plain"].run(*given):
        yield event
        time.sleep(0.5)


@pytest.fixture(scope="module")
def studio(library, tmp_path_factory):
    methods = {**SPECS, "slow": replace(SPECS["plain"], name="slow", title="Slow", run=slow)}
    return Studio(tmp_path_factory.mktemp("runs"), library=library, methods=methods)


@pytest.fixture(scope="module")
def client(studio):
    with served(studio, {}) as url, httpx.Client(base_url=url, timeout=WAIT) as made:
        yield made


@pytest.fixture
def grace(monkeypatch):
    """Abandoned work is given up sooner than it is elsewhere."""
    monkeypatch.setattr(listeners, "OPENS", GRACE)
    monkeypatch.setattr(listeners, "GRACE", GRACE)


@pytest.fixture
def unheard(monkeypatch):
    """The calls given up because nobody listened, as they come; a slow machine takes calls up late."""
    found, heard = [], Listeners.heard

    async def told(self, address, *keys):
        listened = await heard(self, address, *keys)
        if not listened:
            found.append(keys)
        return listened

    monkeypatch.setattr(Listeners, "heard", told)
    return found


@pytest.fixture
def idle(studio):
    """Nothing is left running for the next test."""
    yield
    for job in [*studio._queue._jobs.values()]:
        studio._queue.stop(job, "Over.")
    soon(lambda: busy(studio) == (0, 0))


def busy(studio):
    return studio._queue.counts()


def soon(condition, within=WAIT):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fields(steps, method="plain", owner=""):
    """What the page's controls hold."""
    return [*controls.Values("a red cube", "", 1, "tiny", method, "", steps, 0, takes=None, lora_masks="merged"), owner]


def join(client, name, *values):
    """Ask a handler and leave the answer unread; its session."""
    config = client.get("/config").json() if name not in KNOWN else None
    if config:
        KNOWN.update({each["api_name"]: each["id"] for each in config["dependencies"]})
    session = secrets.token_hex(6)
    body = {"data": list(values), "fn_index": KNOWN[name], "session_hash": session}
    answer = client.post("/gradio_api/queue/join", json=body)
    assert answer.status_code == 200, answer.text
    return session


KNOWN = {}  # handlers' numbers by name; the same in every page


def listened(client, session):
    """What a session is told from now on, as it comes."""
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as lines:
        for line in lines.iter_lines():
            if line.startswith("data:"):
                yield json.loads(line[5:])


def ended(client, session):
    """How the call of a session ended: the last thing it was told."""
    return next(told["output"] for told in listened(client, session) if told["msg"] == "process_completed")


def test_a_flood_that_nobody_reads_keeps_nobody_out(client, studio, idle):
    """Checks and twenty followers of one visitor's job, all of them unread."""
    success, output = call(client, "start", *fields(100, "slow", "anna"))
    assert success, output
    job = output["data"][0]
    soon(lambda: busy(studio) == (1, 0))
    for number in range(8):
        join(client, "check", *fields(100, owner=f"hostile {number}"))
    for _ in range(20):
        join(client, "watch", job)
    compare = join(client, "compare", *COMPARE, "plain", "")
    heard = listened(client, compare)
    first = next(told for told in heard if told["msg"] == "process_generating")
    assert first["output"]["data"][2]["phase"] == "queued"
    began = time.monotonic()
    success, _ = call(client, "stop", job)
    assert success and time.monotonic() - began < AT_ONCE
    *_, last = (told for told in heard if told["msg"] == "process_completed")
    assert last["success"] and last["output"]["data"][2]["state"] == "done"
    began = time.monotonic()
    success, output = call(client, "explore", last["output"]["data"][2]["run_id"])
    assert success and time.monotonic() - began < AT_ONCE, output
    assert busy(studio) == (0, 0)  # no check has begun


def test_reading_is_bounded_for_each_job_and_the_others_are_told(client, studio, idle):
    _, output = call(client, "start", *fields(100, "slow", "ben"))
    job = output["data"][0]
    streams = [listened(client, join(client, "watch", job)) for _ in range(FOLLOWERS)]
    for stream in streams:
        next(told for told in stream if told["msg"] == "process_generating")
    assert f"{FOLLOWERS} pages follow this already" in ended(client, join(client, "watch", job))["error"]
    for stream in streams:
        stream.close()
    soon(lambda: studio._queue.get(job["id"]).followers == 0)


@pytest.mark.parametrize("name", ["compare", "check", "start"])
def test_a_call_that_nobody_listens_to_begins_nothing(client, studio, grace, unheard, name):
    values = (*COMPARE, "slow", "") if name == "compare" else fields(100, "slow")
    session = join(client, name, *values)
    before = len(studio._queue._jobs)
    soon(lambda: unheard)
    assert busy(studio) == (0, 0) and len(studio._queue._jobs) == before
    assert "Nobody listens" in ended(client, session)["error"]


def test_a_raw_caller_that_never_opens_the_stream_begins_nothing(client, studio, grace, unheard):
    for calls, more in enumerate(({}, {"session_hash": "mine"}), 1):
        body = {"data": [*COMPARE, "slow", ""], **more}
        named = client.post("/gradio_api/call/compare", json=body).json()["event_id"]
        soon(lambda calls=calls: len(unheard) == calls)
        assert busy(studio) == (0, 0)
        assert "Nobody listens" in client.get(f"/gradio_api/call/compare/{named}").text


def test_a_raw_caller_with_a_session_of_its_own_is_heard(client, studio):
    body = {"data": [*COMPARE, "plain", ""], "session_hash": "mine"}
    named = client.post("/gradio_api/call/compare", json=body).json()["event_id"]
    assert '"state": "done"' in client.get(f"/gradio_api/call/compare/{named}").text


@pytest.mark.parametrize("place", ["running", "waiting"])
@pytest.mark.parametrize("name", ["compare", "check"])
def test_a_dropped_stream_gives_the_work_back_running_or_waiting(client, studio, grace, idle, name, place):
    if place == "waiting":
        call(client, "start", *fields(100, "slow", "carl"))
        soon(lambda: busy(studio) == (1, 0))
    values = (*COMPARE, "slow", "") if name == "compare" else fields(100, owner="dora")
    stream = listened(client, join(client, name, *values))
    next(told for told in stream if told["msg"] == "process_generating")
    before = busy(studio)
    assert sum(before) == (2 if place == "waiting" else 1)
    stream.close()
    soon(lambda: sum(busy(studio)) == sum(before) - 1, within=10)


def test_the_check_waits_in_line_and_can_be_stopped_from_the_page(client, studio, idle):
    call(client, "start", *fields(100, "slow", "emil"))
    soon(lambda: busy(studio) == (1, 0))
    session = join(client, "check", *fields(100, owner="fritz"))
    stream = listened(client, session)
    first = next(told["output"]["data"] for told in stream if told["msg"] == "process_generating")
    assert "ahead in the queue" in str(first)
    body = {"data": [None], "fn_index": KNOWN["stop_check"], "session_hash": session}
    assert client.post("/gradio_api/run/predict", json=body).status_code == 200
    said = "".join(map(str, chain(stream)))
    assert "Stopped on request." in said and busy(studio) == (1, 0)


def test_a_flood_of_sessions_ends_no_stream_that_is_read(library, tmp_path, monkeypatch):
    monkeypatch.setattr(listeners, "SESSIONS", 3)
    methods = {**SPECS, "slow": replace(SPECS["plain"], name="slow", title="Slow", run=slow)}
    with (
        served(Studio(tmp_path / "runs", library=library, methods=methods), {}) as url,
        httpx.Client(base_url=url, timeout=WAIT) as client,
    ):
        stream = listened(client, join(client, "compare", *COMPARE, "slow", ""))
        next(told for told in stream if told["msg"] == "process_generating")
        for _ in range(10):
            join(client, "watch", {"id": secrets.token_hex(6)})
        *_, last = (told for told in stream if told["msg"] == "process_completed")
        assert last["success"], last


def test_sessions_without_a_tab_are_forgotten_first():
    ours = listeners.Listeners()
    states = listeners.States(ours, {"open": 1, "closed": 2})
    with ours.listening(listeners._tab("open")), ours.listening(listeners._tab("new")):
        states["new"] = 3
        assert states.popitem(last=False) == ("closed", 2)
        states["newest"] = 4  # its tab is not open yet, and it is about to be read
        assert states.popitem(last=False) == ("open", 1)
    assert [*states] == ["new", "newest"]


def test_a_tab_is_open_as_long_as_its_heartbeat(client, monkeypatch):
    opened, listening, session = [], Listeners.listening, secrets.token_hex(8)
    monkeypatch.setattr(Listeners, "listening", lambda self, key: [opened.append(key)] and listening(self, key))
    with client.stream("GET", f"/gradio_api/heartbeat/{session}") as heartbeat:
        assert next(heartbeat.iter_lines()) == "data: ALIVE"
    assert opened == [listeners._tab(session)]


def test_opened_runs_are_drawn_one_at_a_time(client, studio, monkeypatch):
    _, output = call(client, "compare", *COMPARE, "random_mask", "")
    run, strip, now, most = output["data"][2]["run_id"], explore.strip, [], []

    def slow(*drawn):
        now.append(run)
        most.append(len(now))
        time.sleep(0.1)
        now.pop()
        return strip(*drawn)

    monkeypatch.setattr(explore, "strip", slow)
    streams = [listened(client, join(client, "pin", run, "", {"step": 0, "site": ""})) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        ends = [*pool.map(lambda stream: next(t for t in stream if t["msg"] == "process_completed"), streams)]
    assert all(end["success"] for end in ends) and most == [1] * 6


def test_a_page_follows_so_many_things_at_once():
    ours = Listeners()
    with ExitStack() as held:
        for _ in range(listeners.FOLLOWING):
            held.enter_context(ours.following("a"))
        with pytest.raises(ValueError, match="follows 8 things already"), ours.following("a"):
            pass
        with ours.following("b"):
            pass
    with ours.following("a"):
        pass


def test_a_call_is_answered_when_its_page_has_left_the_stream_that_is_over(client, monkeypatch):
    """A page that is told of its call while it reads an old stream's last words would wait for the answer for ever."""
    monkeypatch.setattr(listeners, "LEAVES", WAIT)
    session = join(client, "check", *fields(4))
    with ThreadPoolExecutor(1) as pool:
        heard = listened(client, session)
        assert any(told["msg"] == "close_stream" for told in heard)
        again = {"data": [*fields(4)], "fn_index": KNOWN["check"], "session_hash": session}
        asked = pool.submit(client.post, "/gradio_api/queue/join", json=again)
        with pytest.raises(TimeoutError):
            asked.result(0.5)
        heard.close()
        assert asked.result(AT_ONCE).status_code == 200
    assert any(told["msg"] == "process_completed" for told in listened(client, session))


def alone(work):
    """Run it in a thread of its own: a browser of other tests has its event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def test_one_address_waits_for_so_many_readers_and_the_others_as_well(monkeypatch):
    monkeypatch.setattr(listeners, "OPENS", 1.0)
    monkeypatch.setattr(listeners, "UNHEARD", 2)

    async def asked():
        ours = Listeners()
        calls = [asyncio.create_task(ours.heard("flood", f"a{i}")) for i in range(2)]
        await asyncio.sleep(0)
        assert not await ours.heard("flood", "a2") and not any(call.done() for call in calls)  # refused at once
        other = asyncio.create_task(ours.heard("other", "b", "call"))
        await asyncio.sleep(0)
        with ours.listening("call"):
            assert await other and await ours.heard("flood", "call")
        assert await asyncio.gather(*calls) == [False, False] and not ours._waiting

    alone(asked())


def test_who_opens_a_stream_and_takes_nothing_from_it_has_left(monkeypatch, grace):
    async def followed():
        ours, read = Listeners(), asyncio.Event()

        async def answer(scope, receive, send):
            await send({"type": "http.response.body", "body": b"data"})

        async def send(message):
            await read.wait()

        scope = {"type": "http", "method": "GET", "path": "/gradio_api/queue/data", "query_string": b"session_hash=a"}
        stream = asyncio.create_task(Streams(answer, ours)(scope, None, send))
        await asyncio.sleep(0)
        assert not ours.gone("a", "call") and ours.gone("b")
        monkeypatch.setattr(listeners, "STALLED", -1.0)
        assert ours.gone("a", "call")
        read.set()
        await stream
        assert not ours.gone("a")  # it may be opened again
        await asyncio.sleep(1.5 * GRACE)
        assert ours.gone("a")

    alone(followed())
