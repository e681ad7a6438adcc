"""What raw requests get out of a running lab with a login: no file of the machine, nothing without the password."""

import json
import os
import re
import secrets
from pathlib import Path
from weakref import WeakKeyDictionary

import httpx
import pytest

from maskunet.studio.studio import Studio
from maskunet.ui.server.door import NO_CALL, NO_FIT
from maskunet.ui.server.payload import Refused, checked
from tests.support.serving import served

ROOT = Path(__file__).parents[2]
NAME, PASSWORD = "anna", "long enough"
WAIT = 120  # seconds; a slow machine under load


@pytest.fixture(scope="module")
def lab(library, tmp_path_factory):
    """A client that is logged in, one that is not, the studio, and the folder where gradio keeps files."""
    studio = Studio(tmp_path_factory.mktemp("runs"), library=library)
    cache = tmp_path_factory.mktemp("cache")
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(cache)
    try:
        with (
            served(studio, {}, login=(NAME, PASSWORD)) as url,
            httpx.Client(base_url=url, timeout=WAIT) as inside,
            httpx.Client(base_url=url, timeout=WAIT) as outside,
        ):
            answer = inside.post("/login", data={"username": NAME, "password": PASSWORD})
            assert answer.status_code == 200
            yield inside, outside, studio, cache
    finally:
        os.environ.pop("GRADIO_TEMP_DIR")
        if before is not None:
            os.environ["GRADIO_TEMP_DIR"] = before


@pytest.fixture
def inside(lab):
    return lab[0]


@pytest.fixture
def outside(lab):
    return lab[1]


HANDLERS = WeakKeyDictionary()  # numbers by name of the page that a client talks to


def call(client, name, *values, trigger=None):
    """Ask a handler of the page, private or not, and wait for what it answers: (success, the last message)."""
    if client not in HANDLERS:
        HANDLERS[client] = {d["api_name"]: d["id"] for d in client.get("/config").json()["dependencies"]}
    session = secrets.token_hex(6)
    body = {"data": list(values), "fn_index": HANDLERS[client][name], "session_hash": session, "trigger_id": trigger}
    as_json = {"content": json.dumps(body), "headers": {"content-type": "application/json"}}  # NaN as well
    assert client.post("/gradio_api/queue/join", **as_json).status_code == 200
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as lines:
        for line in lines.iter_lines():
            message = json.loads(line[5:]) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                return message["success"], message["output"]
    raise AssertionError("no answer")


def test_11_what_nobody_foresaw_is_a_reference_into_the_log(lab, monkeypatch, caplog):
    inside, _, studio, _ = lab

    def broken(name, **how):
        raise RuntimeError("/some/secret/path broke")

    monkeypatch.setattr(studio._library, "load", broken)
    success, output = call(inside, "compare", "a red cube", "", 1, "tiny", "plain", "")
    assert not success
    reference = re.fullmatch(r"Something failed \(ref (\w+)\)\. The log has the details\.", output["error"])[1]
    assert any(reference in record.getMessage() for record in caplog.records)


FILES = [
    "/etc/passwd", "etc/passwd", "../../../../etc/passwd", "/proc/self/environ", "file:///etc/passwd", "%2fetc%2fpasswd",
    str(ROOT / "app.py"), "app.py", str(ROOT / ".git/config"), str(ROOT / ".env"),
    str(Path.home() / ".cache/huggingface/token"), "http://169.254.169.254/latest", "https://example.com/", "/",
]  # fmt: skip


@pytest.mark.parametrize("path", FILES)
def test_14_the_file_route_serves_nothing_of_this_machine(inside, path):
    for route in ("/gradio_api/file=", "/file=", "/static/", "/assets/", "/gradio_api/"):
        answer = inside.get(f"{route}{path}")
        assert answer.status_code in (403, 404), route
        assert "root:" not in answer.text and "PATH=" not in answer.text


def hostile():
    """Values that name files, for a field that should hold something else."""
    return [
        "/etc/hostname",
        "app.py",
        "../../../../etc/passwd",
        str(ROOT / "README.md"),
        "file:///etc/passwd",
    ]


def published(cache):
    return {path.name for path in cache.rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", hostile())
def test_15_no_path_named_by_a_visitor_is_opened_or_published(lab, path):
    inside, _, _, cache = lab
    before = published(cache)
    upload = {"path": path, "orig_name": "run.zip", "meta": {"_type": "gradio.FileData"}}
    asked = [
        ("compare", path, "", 0, "tiny", path, ""), ("compare", "a", "", 0, path, "plain", ""),
        ("compare", "a", "", 0, "tiny", "plain", path), ("take", upload, [], ""), ("take", path, [], ""),
        ("explore", path), ("pin", path, path, {"step": 0, "site": path}), ("figures", path),
        ("stop", {"id": path}), ("act", [{"id": path}]),
    ]  # fmt: skip
    for name, *values in asked:
        success, output = call(inside, name, *values)
        said = json.dumps(output)
        assert "root:" not in said and "MaskUNet Lab\\n" not in said, name
        assert not (success and name in ("compare", "take", "explore", "figures")), name
    assert published(cache) == before


def test_16_only_finished_runs_are_offered_from_the_disk_and_only_whole_names(lab):
    inside, outside, studio, _ = lab
    success, output = call(inside, "compare", "a red cube", "", 1, "tiny", "plain", "")
    assert success, output
    found = studio.shelf.folder / output["data"][2]["run_id"]
    assert inside.get(f"/gradio_api/file={found}/run.json").status_code == 200
    assert outside.get(f"/gradio_api/file={found}/run.json").status_code == 401
    listed = found.parent.with_name(f".{found.parent.name}.json")  # every run and who asked for it
    assert listed.is_file()
    for path in (found, found.parent, f"{found}/../../x", f"{found}/nothing.json", listed):
        assert inside.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_17_an_upload_is_limited_and_never_runs_in_a_browser(inside):
    large = inside.post("/gradio_api/upload", files={"files": ("a.zip", bytes(64 * 2**20 + 1))})
    assert large.status_code == 413
    page = inside.post("/gradio_api/upload", files={"files": ("a.html", b"<script>alert(1)</script>")})
    answer = inside.get(f"/gradio_api/file={page.json()[0]}")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["run.zip", "run.pkl", "run.html"])
def test_17_an_upload_that_is_no_run_is_refused_in_a_sentence(inside, name):
    path = inside.post("/gradio_api/upload", files={"files": (name, b"\x80\x04\x95 pickle")}).json()[0]
    upload = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    success, output = call(inside, "take", upload, [], "")
    assert not success
    assert re.search("is no run that was downloaded here|Invalid file type", output["error"]), output


@pytest.mark.parametrize(
    "values",
    [
        ("a", "", float("nan"), "tiny", "plain", ""),
        ("a", "", "seven", "tiny", "plain", ""),
        ("a", "", [1], "tiny", "plain", ""),
        ("a", "", 2**70, "tiny", "plain", ""),
        ("a\0b", "", 1, "tiny", "plain", ""),
        ("a", "\x1b[31m", 1, "tiny", "plain", ""),
        ("a", "", 1, "tiny", "plain", ["usual"]),
        (None, None, None, None, None, None),
    ],
)
def test_18_bounds_are_checked_on_the_server(inside, values):
    success, output = call(inside, "compare", *values)
    said = str(output.get("error"))
    assert not success
    assert "Traceback" not in said and str(ROOT) not in said


def test_18_fields_of_the_page_are_checked_on_the_server_too(inside):
    usual = ["a", "", 1, "tiny", "plain", "", 15, 0, "", None, None, None]
    for field, value in (
        (6, 10**9),
        (6, -1),
        (7, float("inf")),
        (7, 31),
        (2, -5),
        (0, "x" * 2000),
        (3, "no"),
    ):
        values = [*usual]
        values[field] = value
        success, output = call(inside, "start", *values, secrets.token_hex(8))
        assert not success and output["error"], (field, value)


ROUTES = [
    "/config",
    "/gradio_api/info",
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/queue/data?session_hash=a",
]
NOT_NEEDED = [
    "/gradio_api/deep_link?session_hash=a", "/gradio_api/runs", "/gradio_api/vibe-code", "/gradio_api/dev/reload",
    "/gradio_api/token", "/gradio_api/mcp/schema", "/monitoring", "/monitoring/summary", "/monitoring/a",
    "/gradio_api/run-history/records", "/openapi.json", "/docs", "/redoc", "/x",
]  # fmt: skip


def test_20_nothing_is_told_without_the_password(outside):
    assert [outside.get(route).status_code for route in ROUTES] == [401] * len(ROUTES)
    posts = {
        "/gradio_api/upload": {"files": {"files": ("a.png", b"x")}},
        "/gradio_api/queue/join": {"json": {"data": [], "fn_index": 2, "session_hash": "a"}},
        "/gradio_api/call/compare": {"json": {"data": []}},
    }
    assert [outside.post(route, **more).status_code for route, more in posts.items()] == [401] * len(posts)
    assert [outside.get(route).status_code for route in NOT_NEEDED] == [404] * len(NOT_NEEDED)
    assert outside.get("/").status_code == 200  # the login
    assert "Base model" not in outside.get("/").text


def test_21_another_site_can_neither_ask_nor_read(inside):
    evil = {"origin": "https://evil.example"}
    body = {"data": [], "fn_index": 2, "session_hash": "a"}
    for headers in (evil, {**evil, "sec-fetch-site": "cross-site"}):
        assert inside.post("/gradio_api/queue/join", json=body, headers=headers).status_code == 403
        upload = inside.post("/gradio_api/upload", files={"files": ("a.png", b"x")}, headers=headers)
        assert upload.status_code == 403
        assert "access-control-allow-origin" not in inside.get("/config", headers=headers).headers
    ask = {**evil, "access-control-request-method": "POST"}
    asked = inside.options("/gradio_api/queue/join", headers=ask)
    assert "access-control-allow-origin" not in asked.headers


def test_31_the_only_named_endpoint_is_the_intended_one(inside):
    named = {"/compare", "/intervene", "/grid", "/video"}
    assert set(inside.get("/gradio_api/info").json()["named_endpoints"]) == named


def test_reading_writes_nothing_to_the_disk(lab):
    """Gradio would write down what a session's page shows, whoever asks for it."""
    inside, _, _, cache = lab
    number = next(each["id"] for each in inside.get("/config").json()["dependencies"] if each["api_name"] == "stop")
    inside.post("/gradio_api/run/predict", json={"data": [{}], "fn_index": number, "session_hash": "mine"})
    before = published(cache)
    for headers in ({}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}):
        for path in ("/gradio_api/deep_link", "/gradio_api/deep_link/"):
            assert inside.get(path, params={"session_hash": "mine"}, headers=headers).status_code == 404
    assert published(cache) == before


TYPES = [
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "Text/Plain;charset=UTF-8",
    "MULTIPART/form-data; boundary=x", "application/json, multipart/form-data", "*/*",
]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_posted_as_a_form_reaches_no_handler(lab, monkeypatch, kind):
    inside, _, studio, _ = lab
    monkeypatch.setattr(studio, "start", lambda *_, **__: pytest.fail("it was asked"))
    monkeypatch.setattr(studio, "stop", lambda *_, **__: pytest.fail("it was asked"))
    stop = next(each["id"] for each in inside.get("/config").json()["dependencies"] if each["api_name"] == "stop")
    bodies = {
        "run/predict": {"data": [{"id": "0" * 12}], "fn_index": stop, "session_hash": "mine"},
        "call/compare": {"data": ["a cat", "", 1, "tiny", "plain", ""]},
        "call/v2/compare": {"prompt": "a cat"},
        "queue/join": {"data": [{"id": "0" * 12}], "fn_index": stop, "session_hash": "mine"},
        "cancel": {"session_hash": "a", "fn_index": 1, "event_id": "b"},
        "reset": {"event_id": ""},
    }
    for route, body in bodies.items():
        answer = inside.post(f"/gradio_api/{route}", content=json.dumps(body), headers={"content-type": kind})
        assert (answer.status_code, "application/json" in answer.json()["detail"]) == (415, True), route
    file = b'--x\r\ncontent-disposition: form-data; name="data"; filename="a"\r\n\r\na\r\n--x--\r\n'
    for route in ("component_server", "process_recording", "stream/a", "vibe-edit"):
        answer = inside.post(f"/gradio_api/{route}", content=file, headers={"content-type": kind})
        assert answer.status_code == 404, route


@pytest.mark.parametrize("kind", ["", "application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_files_come_as_files_only(lab, kind):
    inside, _, _, cache = lab
    before = published(cache)
    answer = inside.post("/gradio_api/upload", content=b"x" * 1000, headers={"content-type": kind})
    assert answer.status_code in (400, 415) and answer.json()["detail"] and published(cache) == before


@pytest.mark.parametrize("length", ["", "-1", "x", str(65 * 2**20 + 1), "9" * 5000])
def test_an_upload_of_many_files_is_bounded_as_a_whole(length):
    with pytest.raises(Refused, match="at most 65 MB at once"):
        checked(None, "upload", "multipart/form-data; boundary=x", length).send(None)  # before it awaits anything


def test_an_upload_without_an_end_is_refused(lab):
    inside, _, _, cache = lab
    before = published(cache)
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.zip"\r\n\r\n'
    parts = (part for part in (head, b"PK"))  # without a length
    answer = inside.post(
        "/gradio_api/upload", content=parts, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code == 413 and "at most 65 MB" in answer.json()["detail"] and published(cache) == before


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("queue/join", {"data": [], "fn_index": 10**6, "session_hash": "a"}),
        ("queue/join", {"data": [], "fn_index": -1, "session_hash": "a"}),
        ("run/predict", {"data": [], "fn_index": 10**6}),
        ("run/predict", {"data": []}),
        ("call/nothing", {"data": []}),
        ("call/v2/nothing", {}),
    ],
)
def test_a_call_that_is_none_is_told_in_one_sentence(inside, route, body):
    answer = inside.post(f"/gradio_api/{route}", json=body)
    assert (answer.status_code, answer.json()) == (404, {"detail": NO_CALL})


def test_a_stream_of_a_call_that_is_none_says_so_and_ends(inside, caplog):
    for path in ("/gradio_api/call/compare/x", "/gradio_api/queue/data?session_hash=x"):
        answer = inside.get(path)  # httpx does not take a stream that breaks off
        assert answer.status_code == 200 and "404" in answer.text
    assert not caplog.records


@pytest.mark.parametrize("arguments", [{}, {"prompt": "a cat", "nothing": 1}])
def test_arguments_by_name_that_do_not_fit_are_told_in_one_sentence(inside, arguments):
    answer = inside.post("/gradio_api/call/v2/compare", json=arguments)
    assert (answer.status_code, answer.json()) == (400, {"detail": NO_FIT})


def test_33_what_gradio_would_offer_besides_is_off(inside):
    assert [inside.get(route).status_code for route in NOT_NEEDED] == [404] * len(NOT_NEEDED)
    config = inside.get("/config").json()
    assert (config["run_history"], config["show_error"], config["analytics_enabled"]) == (False, False, False)
    for route in ("/gradio_api/run/compare", "/gradio_api/api/compare"):  # past the queue
        assert inside.post(route, json={"data": ["a", "", 0, "tiny", "plain", ""]}).status_code == 404
    assert str(ROOT) not in inside.get("/config").text


def test_20_wrong_passwords_have_to_wait(outside):
    """The last of this file: it locks this address out for a minute."""
    tries = [outside.post("/login", data={"username": NAME, "password": str(i)}) for i in range(7)]
    assert [answer.status_code for answer in tries] == [400] * 5 + [429] * 2
    assert outside.get("/config").status_code == 401
