"""Generated requests through every door: valid ones work, invalid ones get one clear sentence, nothing breaks."""

import html
import http.client
import json
import secrets
import shutil
from collections import Counter
from contextlib import closing
from functools import partial
from urllib.parse import urlsplit

import pytest
from hypothesis import strategies as st

from maskunet.commands.registry import main
from maskunet.records import Request
from maskunet.runs import run_folder
from maskunet.studio.studio import Studio
from maskunet.ui import controls
from tests.support import generated, tiny_library
from tests.support.serving import served
from tests.support.tiny import tiny_decoder, tiny_fine_tuned, tiny_generator, tiny_mask


def amounts(few, many):
    """The number of examples in every run of the tests, and in the long ones."""
    return pytest.mark.parametrize("n", [few, pytest.param(many, marks=pytest.mark.long)])


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """With trained masks and a fine-tuned U-Net, so that every method can run."""
    folder = tiny_library.write(tmp_path_factory.mktemp("fuzz") / "model")
    tiny_decoder(folder)
    tiny_generator(folder)
    tiny_generator(folder, "tiny_reward", learns_from="image_reward")
    tiny_fine_tuned(folder)
    tiny_mask(folder)
    return tiny_library.read(folder)


@pytest.fixture(scope="module")
def model(library):
    return library.load("tiny").model


@pytest.fixture(scope="module")
def studio(library, model, tmp_path_factory):
    made = Studio(tmp_path_factory.mktemp("runs"), library=library)
    yield made
    made.close()


# The Python API


def outcome(studio, keywords):
    """How a request ended and what was said; what is not a ValueError is a fault."""
    try:
        job = studio.start(Request(**keywords))
    except ValueError as error:
        return "refused", str(error)
    *_, last = studio.events(job)
    return last.phase, last.message


@amounts(7, 300)
def test_sensible_requests_work(studio, model, n):
    before = generated.weights_of(model)

    def check(keywords):
        phase, message = outcome(studio, keywords)
        assert phase == "done", message
        generated.assert_unchanged(model, before)

    generated.drive(n, generated.sensible(), check)


@pytest.mark.parametrize("kind", ["at_the_edge", "rubbish"])
@amounts(5, 150)
def test_any_request_works_or_is_refused_in_a_clear_sentence(studio, model, tmp_path, kind, n):
    before = generated.weights_of(model)

    def check(keywords):
        phase, message = outcome(studio, keywords)
        if phase != "done":
            generated.assert_clear(message, studio.shelf.folder)
        generated.assert_unchanged(model, before)
        assert (studio.status().running, studio.status().waiting) == (0, 0)

    generated.drive(n, getattr(generated, kind)(), check)


# The command line


def words_of(keywords):
    """The request as options; what is no text becomes some, as in a shell."""
    options = {name.replace("_", "-"): value for name, value in keywords.items() if name != "settings"}
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return words + [f"--set={name}={value}" for name, value in keywords.get("settings", {}).items()]


def shell(keywords):
    """Whether a shell could pass this on, and Python print it."""
    return not any("\x00" in word or "\ud800" in word for word in _texts(keywords))


def _texts(value):
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in _texts(one)]
    return [value] if isinstance(value, str) else [] if value is None or _short(value) else ["\x00"]


def _short(value):
    return not isinstance(value, int) or abs(value) < 10**400


@pytest.mark.parametrize("kind", ["sensible", "rubbish"])
@amounts(3, 100)
def test_any_command_works_or_says_in_a_line_what_is_wrong(library, model, tmp_path, monkeypatch, capfd, kind, n):
    before = generated.weights_of(model)
    monkeypatch.setattr("maskunet.library.library.Library", lambda *args, **added: library)

    def check(keywords):
        capfd.readouterr()
        out = tmp_path / "run"
        shutil.rmtree(out, ignore_errors=True)  # a run is not replaced by that of another request
        try:
            code = main(["generate", *words_of(keywords), f"--out={out}"])
        except SystemExit as end:  # the parser's way of refusing
            code = end.code
        said = capfd.readouterr().err
        assert code == 0 if kind == "sensible" else code in (0, 2)
        if code == 0:
            assert run_folder.read(out).state == "done"
        else:
            generated.assert_clear(said.splitlines()[-1], tmp_path)
        generated.assert_unchanged(model, before)

    generated.drive(n, getattr(generated, kind)().filter(shell), check)


# Raw HTTP

MOST = len(controls.Values._fields) + 2  # values sent to a handler: the form's, its owner, and one too many
CALL = "/gradio_api/call/compare"
ORDER = ("prompt", "negative_prompt", "seed", "model", "method", "preset")  # of the endpoint's values


@pytest.fixture(scope="module")
def ask(library, model, tmp_path_factory):
    """A function that sends a request to a running page and gives the status and the text."""
    studio = Studio(tmp_path_factory.mktemp("runs"), library=library, trains=True)
    with served(studio, {}) as url:

        def send(method, path, body=None):
            with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)) as connection:
                connection.request(method, path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                try:
                    return answer.status, answer.read().decode()
                except http.client.IncompleteRead as cut:  # how gradio ends a stream that does not exist
                    return answer.status, cut.partial.decode()

        yield send


def called(ask, values):
    """How a call of the endpoint ends: the last event of its stream, and what came with it."""
    status, text = ask("POST", CALL, json.dumps({"data": values}))
    if status != 200:
        return "refused", text
    _, text = ask("GET", f"{CALL}/{json.loads(text)['event_id']}")
    *_, last = text.strip().split("\n\n")
    event, data = last.split("\n")
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


@pytest.mark.parametrize("kind", ["sensible", "rubbish"])
@amounts(3, 100)
def test_any_call_over_http_works_or_gets_a_clear_sentence(ask, model, tmp_path, kind, n):
    before = generated.weights_of(model)

    def check(keywords):
        event, data = called(ask, [keywords[name] for name in ORDER])
        if event == "error":
            generated.assert_clear(data["error"], tmp_path)
        else:
            assert event == "complete" and data[-1]["state"] == "done"
        assert event == "complete" or kind == "rubbish"
        generated.assert_unchanged(model, before)

    generated.drive(n, getattr(generated, kind)().filter(is_json), check)


def is_json(keywords):
    """Whether these values can be sent, and make no run of all the endpoint's steps with a slow method."""
    try:
        json.dumps([keywords[name] for name in ORDER]).encode()
    except (TypeError, ValueError):
        return False
    return keywords["method"] in ("plain", "random_mask", "freeu") or not isinstance(keywords["method"], str)


@pytest.fixture(scope="module")
def handlers(ask):
    """The handlers of the page, private or not."""
    return [each for each in json.loads(ask("GET", "/config")[1])["dependencies"] if each["backend_fn"]]


WRONG = generated.RUBBISH.filter(lambda value: not isinstance(value, bytes))
RIGHT = st.sampled_from(["a red cube", "tiny", "plain", "", 1, 0, None, [], {}, {"id": "0" * 12}, "0" * 12])
KEPT = st.lists(st.dictionaries(st.sampled_from(["id", "prompt", "seed", "gain", "picture"]), WRONG, max_size=3))
CLICK = st.none() | WRONG | st.fixed_dictionaries({"step": WRONG, "site": WRONG, "run": WRONG, "act": WRONG})


def answers(ask, handler, values, event_data, direct):
    """What a handler answers, beside gradio's queue or through it: whether it worked, and what it said."""
    session = secrets.token_hex(6)
    asked = {"data": values, "fn_index": handler["id"], "session_hash": session, "event_data": event_data}
    if direct and not handler["queue"]:
        status, text = ask("POST", "/gradio_api/run/predict", json.dumps(asked))
        return status == 200, json.loads(text)
    status, text = ask("POST", "/gradio_api/queue/join", json.dumps(asked))
    assert status == 200, text
    _, text = ask("GET", f"/gradio_api/queue/data?session_hash={session}")
    told = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
    return next((one["success"], one["output"]) for one in told if one["msg"] == "process_completed")


@amounts(120, 2000)  # at least one for each handler
def test_any_handler_asked_for_anything_answers_or_says_what_is_wrong(ask, handlers, model, tmp_path, n):
    before, refused = generated.weights_of(model), Counter()

    def check(handler, given):
        more, values, event_data, direct = given
        values = values[: len(handler["inputs"]) + more]  # sometimes one too few, or one too many
        try:
            json.dumps([values, event_data])
        except (TypeError, ValueError):  # no client can send this
            return
        worked, output = answers(ask, handler, values, event_data, direct)
        assert "Traceback" not in str(output) and "site-packages" not in str(output), handler["api_name"]
        if not worked:
            refused[handler["api_name"]] += 1
            message = html.unescape(output["error"] or "")
            generated.assert_clear(message, tmp_path)

    values = st.lists(st.one_of(WRONG, RIGHT, KEPT), min_size=MOST, max_size=MOST)
    for handler in handlers:  # each is asked as often, so that no draw decides who is asked at all
        asked = st.tuples(st.integers(-1, 1), values, CLICK, st.booleans())
        generated.drive(n // len(handlers), asked, partial(check, handler))
    names = {handler["api_name"] for handler in handlers}
    assert len(refused) > len(names) / 3  # not all were asked for what they can answer
    generated.assert_unchanged(model, before)


def test_halves_of_characters_are_refused_in_a_sentence(ask, handlers):
    handler = next(each for each in handlers if each["api_name"] == "add_word")
    for prompt, click in (("\ud800", {"word": "a"}), ("a", {"word": "\ud800"}), ("a", [1])):
        worked, output = answers(ask, handler, [prompt], click, direct=False)
        assert not worked and "does not fit its field" in output["error"]
    assert answers(ask, handler, ["a"], {"word": "cube"}, direct=False)[0]


@amounts(15, 2000)
def test_no_bytes_and_no_path_make_the_server_show_its_inside_or_stop_answering(ask, n):
    paths = st.sampled_from([CALL, f"{CALL}/x", "/gradio_api/queue/join", "/gradio_api/upload", "/config", "/%00"])
    files = st.sampled_from(["/gradio_api/file=/etc/passwd", "/gradio_api/file=../app.py", "/gradio_api/file=%2Fetc"])
    bodies = st.binary(max_size=40) | st.sampled_from([b'{"data": 3}', b'{"data": []}', b'{"data": [[[[]]]]}', b"[]"])

    def check(request):
        status, text = ask(*request)
        assert "Traceback" not in text and "site-packages" not in text and "root:" not in text, text
        assert status != 500 or "The log has the details." in text
        assert text or status < 400

    generated.drive(n, st.tuples(st.sampled_from(["GET", "POST", "PUT"]), paths | files, bodies), check)
    event, data = called(ask, ["a red cube", "", 1, "tiny", "plain", ""])
    assert (event, data[-1]["state"]) == ("complete", "done")
