"""Who gets in: the launch flags and the door before the page, with and without a page behind it."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

import app
from maskunet.records import Request
from maskunet.studio.studio import Studio
from maskunet.ui import snippets
from maskunet.ui.server import door, payload
from maskunet.ui.server.launch import address
from tests.support.serving import served


@pytest.fixture(autouse=True)
def own_computer(monkeypatch):
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME", "MASKUNET_AUTH"):
        monkeypatch.delenv(name, raising=False)


# Flags


def test_by_default_only_this_computer_reaches_the_page():
    args = app.arguments([])
    assert (args.host, args.share, args.login, args.alone) == ("127.0.0.1", False, None, True)


@pytest.mark.parametrize(
    "reach", [["--share"], ["--host=0.0.0.0"], ["--host=::"], ["--host=lab.example"], ["--proxy=127.0.0.1"]]
)
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


@pytest.mark.parametrize("port", ["0", "65536", "-1", "80a", "", " ", "99999999999999", "7860.0"])
def test_a_port_is_a_number_in_range(port, capsys, monkeypatch):
    with pytest.raises(SystemExit):
        app.arguments([f"--port={port}"])
    assert "takes a number from 1 to 65535" in capsys.readouterr().err
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    if port:
        with pytest.raises(SystemExit):
            app.arguments([])
        assert "GRADIO_SERVER_PORT" in capsys.readouterr().err
    else:
        assert app.arguments([]).port == 7860


def test_the_places_that_are_named_can_be(tmp_path, capsys):
    (tmp_path / "a.txt").touch()
    wrong = [f"--runs={tmp_path / 'a.txt'}", f"--runs={tmp_path / 'a.txt' / 'b'}", "--proxy=nginx", "--root-path=lab"]
    for flag in (*wrong, "--root-path=/a b", "--root-path=//a", "--proxy=10.0.0.0/99"):
        with pytest.raises(SystemExit):
            app.arguments([flag])
        assert f"{flag.partition('=')[0]} takes a" in capsys.readouterr().err
    for given, path in (("/lab/", "/lab"), ("/", ""), ("https://a.example/x", "https://a.example/x")):
        args = app.arguments(["--root-path", given, "--proxy=127.0.0.1", "--proxy=10.0.0.0/8", "--open"])
        assert (args.root_path, args.proxy) == (path, ["127.0.0.1", "10.0.0.0/8"])


def test_programs_are_told_the_port_and_the_path_in_use(monkeypatch):
    asked = Request(prompt="a red cube")
    for place, url in (
        (("0.0.0.0", 81), "http://127.0.0.1:81"),
        (("::1", 81, "/lab"), "http://[::1]:81/lab"),
        (("127.0.0.1", 81, "https://a.example/lab"), "https://a.example/lab"),
    ):
        assert address(*place) == url
        assert f'Client("{url}")' in snippets.python(asked, url)
    monkeypatch.setenv("SPACE_HOST", "someone-lab.hf.space")
    assert address("0.0.0.0", 7860) == "https://someone-lab.hf.space"


def test_a_page_that_answers_late_is_served_all_the_same(library, tmp_path, monkeypatch):
    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)  # no answer within gradio's 3 s
    with served(Studio(tmp_path, library=library), {}) as url:
        assert httpx.head(url).status_code == 200


# The door


def run(coroutine):
    """To its end, in a thread of its own: a browser's loop runs in this one once a test has started it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def knock(gate, path="/gradio_api/queue/join", method="POST", answer=200, client="10.0.0.1", **headers):
    """The status of a request to an app that answers `answer`, and its headers."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"{}"}

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
    run(gate(scope, receive, send))
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
    assert knock(gate, "/", method="GET", **headers)[0] == 200
    for path in ("/logout", "/gradio_api/queue/data", "/config"):
        assert knock(gate, path, method="GET", **headers)[0] == status
    assert knock(gate, "/gradio_api/deep_link", method="GET", **headers)[0] == (404 if status == 200 else 403)


def test_a_logout_ends_one_session_only(gate):
    asked = []

    async def inside(scope, receive, send):
        asked.append(scope["query_string"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        pass

    scope = {"type": "http", "method": "GET", "path": "/logout", "headers": [], "query_string": b"all_session=true"}
    gate._app = inside
    run(gate(scope, None, send))
    assert asked == [b"all_session=false"]


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

    async def receive():
        return {"type": "http.request", "body": b"username=a&password=b"}

    async def send(message):
        answers.extend([message["status"]] if "status" in message else [])

    async def storm():
        form = [(b"content-type", b"application/x-www-form-urlencoded")]
        scope = {"type": "http", "method": "POST", "path": "/login", "client": ("a", 1), "headers": form}
        await asyncio.gather(*(gate(scope, receive, send) for _ in range(100)))

    gate._app = inside
    run(storm())
    assert (answers.count(400), answers.count(429)) == (door.TRIES, 100 - door.TRIES)


def test_no_address_is_fetched_for_anyone(gate):
    addresses = ["http://169.254.169.254/", "https://example.com/x", "HTTP://example.com", " http://a", "ftp://a"]
    for given in (*addresses, "//example.com/x", "http:/a", "example.com", "gopher:x"):
        for route in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/gradio_api/proxy=", "/proxy="):
            for method in ("GET", "HEAD"):
                assert knock(gate, route + given, method)[0] == 403, route + given
    assert knock(gate, "/gradio_api/file=/tmp/http:/x", "GET")[0] == 200


def test_every_answer_keeps_the_browser_from_other_servers(gate):
    for status, headers in (knock(gate), knock(gate, origin="null")):
        assert headers[b"content-security-policy"].startswith(b"default-src 'self'"), status
        assert (headers[b"referrer-policy"], headers[b"x-content-type-options"]) == (
            b"same-origin",
            b"nosniff",
        )


def posted(gate, value):
    """The status of a posted value, and what the app inside is given of it."""
    got, sent = [], []
    body = value if isinstance(value, bytes) else json.dumps(value).encode()

    async def receive():
        return {"type": "http.request", "body": body}

    async def inside(scope, receive, send):
        got.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    gate._app = inside
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/queue/join", "headers": []}
    run(gate(scope, receive, send))
    return sent[0]["status"], got[0] if got else b""


META = {"meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    "elsewhere", ["http://10.0.0.1/x", "HTTPS://a", "//a/b", "\\\\a\\b", "ftp://a", "data:x", " http://a"]
)
def test_no_file_in_a_payload_is_an_address(gate, elsewhere):
    for file in ({"path": elsewhere, **META}, {"url": elsewhere, **META}, {"path": None, "url": elsewhere}):
        for value in ({"data": [file]}, {"data": [{"a": [[{"b": file}]]}]}, [file], file):
            assert posted(gate, value) == (403, b"")
    status, got = posted(gate, {"data": [{"path": "/tmp/run.zip", "url": elsewhere, "size": 3, **META}]})
    assert (status, json.loads(got)["data"][0]) == (200, {"path": "/tmp/run.zip", "url": None, "size": 3, **META})


def test_other_payloads_go_in_as_they_are(gate):
    for value in ({"data": ["see http://example.com", 1.5, None, {"id": "a"}]}, [], "http://a", {"path": "C:\\a"}):
        status, got = posted(gate, value)
        assert (status, json.loads(got)) == (200, value)
    assert posted(gate, b"no json") == (200, b"no json")
    assert posted(gate, b"[" * 200_000)[0] == 400
    assert posted(gate, b" " * (payload.LIMIT + 1))[0] == 413


# Proxies


def test_who_asks_is_told_by_named_proxies_only():
    stranger, named = door.Door(None), door.Door(None, ["10.0.0.0/8", "::1"])
    tries = [wrong(stranger, x_forwarded_for=f"192.0.2.{i}") for i in range(7)]
    assert tries == [400] * 5 + [429] * 2
    assert [wrong(named, x_forwarded_for=f"192.0.2.{i}") for i in range(7)] == [400] * 7
    # A visitor's own header comes before what the proxy adds.
    tries = [wrong(named, x_forwarded_for=f"192.0.2.{i}, 198.51.100.1") for i in range(7)]
    assert tries == [400] * 5 + [429] * 2
    assert [wrong(named, client="203.0.113.1", x_forwarded_for=str(i)) for i in range(7)] == [400] * 5 + [429] * 2


def test_the_host_is_told_by_named_proxies_only():
    page = {"origin": "https://public.example", "x_forwarded_host": "public.example"}
    assert knock(door.Door(None, ["10.0.0.1"]), **page)[0] == 200
    assert knock(door.Door(None, ["10.0.0.2"]), **page)[0] == 403
    assert knock(door.Door(None), **page)[0] == 403
