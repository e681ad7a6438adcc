"""Who gets in: the launch flags and the door before the page, without a page behind it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

import app
from maskunet.ui.server import door


@pytest.fixture(autouse=True)
def own_computer(monkeypatch):
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME", "MASKUNET_AUTH"):
        monkeypatch.delenv(name, raising=False)


# Flags


def test_by_default_only_this_computer_reaches_the_page():
    args = app.arguments([])
    assert (args.host, args.share, args.login, args.alone) == ("127.0.0.1", False, None, True)


@pytest.mark.parametrize("reach", [["--share"], ["--host=0.0.0.0"], ["--host=::"], ["--host=lab.example"]])
def test_sharing_demands_a_password_or_a_clear_yes(reach, capsys):
    with pytest.raises(SystemExit):
        app.arguments(reach)
    assert f"{reach[0].replace('=', ' ')} lets others reach the page; give --auth" in capsys.readouterr().err
    with_login = app.arguments([*reach, "--auth", "anna:long:enough"])
    assert (with_login.login, with_login.alone) == (("anna", "long:enough"), False)
    assert not app.arguments([*reach, "--open"]).alone


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.0.1"])
def test_this_computer_has_several_names(host):
    assert app.arguments(["--host", host]).alone


@pytest.mark.parametrize("login", ["", "anna", "anna:", "anna:short", ":password", " :password"])
def test_a_login_needs_a_name_and_a_password_of_some_length(login, capsys):
    with pytest.raises(SystemExit):
        app.arguments(["--auth", login])
    assert "the password of at least 8 characters" in capsys.readouterr().err


def test_the_login_can_be_kept_out_of_the_list_of_processes(monkeypatch):
    monkeypatch.setenv("MASKUNET_AUTH", "anna:long enough")
    assert app.arguments(["--share"]).login == ("anna", "long enough")


def test_a_space_is_public_by_its_nature(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "someone/lab")
    assert not app.arguments(["--host", "0.0.0.0"]).alone


# The door


def run(coroutine):
    """To its end, in a thread of its own: a browser's loop runs in this one once a test has started it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def knock(gate, path="/gradio_api/queue/join", method="POST", answer=200, client="10.0.0.1", **headers):
    """The status of a request to an app that answers `answer`, and its headers."""
    sent = []

    async def inside(scope, receive, send):
        await send({"type": "http.response.start", "status": answer, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message):
        sent.append(message)

    gate._app = inside
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "client": (client, 1),
        "headers": [(b"host", b"lab.example:7860"), *named],
    }
    run(gate(scope, None, send))
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.fixture
def gate():
    return door.Door(None)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # a program
        ({"sec_fetch_site": "same-origin", "origin": "https://proxy.example"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"origin": "http://lab.example:7860"}, 200),
        ({"origin": "http://lab.example:8000"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_the_page_of_another_site_can_start_nothing(gate, headers, status):
    assert knock(gate, **headers)[0] == status
    assert knock(gate, method="GET", **headers)[0] == 200


def wrong(gate, **more):
    return knock(gate, "/login", answer=400, **more)[0]


def right(gate, **more):
    return knock(gate, "/login/", **more)[0]


def test_wrong_logins_have_to_wait_and_other_addresses_do_not(gate, monkeypatch):
    assert [wrong(gate) for _ in range(7)] == [400] * 5 + [429] * 2
    assert right(gate) == 429
    assert right(gate, client="10.0.0.2") == 200
    assert knock(gate)[0] == 200
    later = door.time.monotonic() + door.PERIOD
    monkeypatch.setattr(door.time, "monotonic", lambda: later)
    assert right(gate) == 200


def test_a_right_login_makes_up_for_wrong_ones_and_many_right_ones_are_no_attack(gate):
    assert [wrong(gate) for _ in range(4)] == [400] * 4
    assert [right(gate) for _ in range(9)] == [200] * 9


def test_many_tries_at_once_are_counted_before_they_are_answered(gate):
    answers = []

    async def inside(scope, receive, send):
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 400, "headers": []})

    async def send(message):
        answers.extend([message["status"]] if "status" in message else [])

    async def storm():
        scope = {"type": "http", "method": "POST", "path": "/login", "client": ("a", 1), "headers": []}
        await asyncio.gather(*(gate(scope, None, send) for _ in range(100)))

    gate._app = inside
    run(storm())
    assert (answers.count(400), answers.count(429)) == (door.TRIES, 100 - door.TRIES)


def test_no_address_is_fetched_for_anyone(gate):
    for address in ("http://169.254.169.254/", "https://example.com/x", "HTTP://example.com"):
        assert knock(gate, f"/gradio_api/file={address}", "GET")[0] == 403
    assert knock(gate, "/gradio_api/file=/tmp/http:/x", "GET")[0] == 200


def test_every_answer_keeps_the_browser_from_other_servers(gate):
    for status, headers in (knock(gate), knock(gate, origin="null")):
        assert headers[b"content-security-policy"].startswith(b"default-src 'self'"), status
        assert (headers[b"referrer-policy"], headers[b"x-content-type-options"]) == (
            b"same-origin",
            b"nosniff",
        )
