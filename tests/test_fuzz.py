"""Generated requests through every door: valid ones work, invalid ones get one clear sentence, nothing breaks."""

import pytest

from maskunet import runs
from maskunet.__main__ import main
from maskunet.records import Request
from maskunet.studio import Studio
from tests import generated, tiny_library
from tests.tiny import tiny_fine_tuned, tiny_generator


def amounts(few, many):
    """The number of examples in every run of the tests, and in the long ones."""
    return pytest.mark.parametrize("n", [few, pytest.param(many, marks=pytest.mark.long)])


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """With trained masks and a fine-tuned U-Net, so that every method can run."""
    folder = tiny_library.write(tmp_path_factory.mktemp("fuzz") / "model")
    tiny_generator(folder)
    tiny_fine_tuned(folder)
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


@amounts(30, 300)
def test_sensible_requests_work(studio, model, n):
    before = generated.weights_of(model)

    def check(keywords):
        phase, message = outcome(studio, keywords)
        assert phase == "done", message
        generated.assert_unchanged(model, before)

    generated.drive(n, generated.sensible(), check)


@pytest.mark.parametrize("kind", ["at_the_edge", "rubbish"])
@amounts(25, 150)
def test_any_request_works_or_is_refused_in_a_clear_sentence(studio, model, tmp_path, kind, n):
    before = generated.weights_of(model)

    def check(keywords):
        phase, message = outcome(studio, keywords)
        if phase != "done":
            generated.assert_clear(message, studio.shelf._folder)
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
@amounts(12, 100)
def test_any_command_works_or_says_in_a_line_what_is_wrong(
    library, model, tmp_path, monkeypatch, capfd, kind, n
):
    before = generated.weights_of(model)
    monkeypatch.setattr("maskunet.library.Library", lambda *args: library)

    def check(keywords):
        capfd.readouterr()
        out = tmp_path / "run"
        try:
            code = main(["generate", *words_of(keywords), f"--out={out}"])
        except SystemExit as end:  # the parser's way of refusing
            code = end.code
        said = capfd.readouterr().err
        assert code == 0 if kind == "sensible" else code in (0, 2)
        if code == 0:
            assert runs.read(out).state == "done"
        else:
            generated.assert_clear(said.splitlines()[-1], tmp_path)
        generated.assert_unchanged(model, before)

    generated.drive(n, getattr(generated, kind)().filter(shell), check)
