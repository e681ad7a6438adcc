"""Command lines as Hypothesis makes them: whatever is given, one clear sentence before any work and never a traceback."""

import contextlib
import io
import os

import pytest
from hypothesis import strategies as st

from maskunet.commands import SPECS, tabletop
from maskunet.commands.base import UsageError
from maskunet.commands.base.options import declared
from maskunet.commands.registry import main
from tests.support.generated import TEXT, drive

COUNTS = ["0", "-1", "-0", "1", "2", "1.5", "1e3", "nan", "", "x", "9" * 30, "9" * 400, "-" + "9" * 30, "٣"]
MEASURES = [*COUNTS, "inf", "-inf", "1e400", "-1e-300", "0.0", "0.5"]
NAMES = [
    "tabletop",
    "magic",
    "all",
    "single",
    "plain",
    "lora",
    "sd15",
    "cpu",
    "abacus",
    "",
    "../../x",
    "a\x00b",
    ",",
    "\ud800",
]
PLACES = ["absent", "file", "file/under", "folder", "closed", "closed/under", "l" * 300, "", ".", "loop", "a\x00b"]
SETTINGS = ["updates=NaN", "updates", "=", "=1", "x=1", "updates=-1", "removed=1e999", "batch_size=0", 'a={"b": 1}']
NAMED = ["a=folder", "a=file", "a=absent", "a", "=folder", "a=closed"]
LISTS = ["0.1,0.2", "nan", "inf,1", "-1", "2", "", ",", "iid", "x,y", "1e400"]


def values(card, flag):
    """What a person may write behind an option, mostly wrong."""
    if flag.repeat:
        return st.sampled_from(SETTINGS if flag.repeat is dict else NAMED)
    if card.kind == "tuple":
        return st.sampled_from(LISTS)
    if card.choices:
        return st.sampled_from([*card.choices, "magic", ""])
    some = {"int": COUNTS, "float": MEASURES, "Path": PLACES}.get(card.kind)
    return st.sampled_from(some) if some else st.sampled_from(NAMES) | TEXT


def command_lines():
    """Words of any command: what it requires, and up to four more options."""
    return st.sampled_from(sorted(SPECS)).flatmap(_words)


def _words(name):
    options = [(card, flag) for card, flag in declared(SPECS[name].options) if card.name != "yes"]
    required = [_given(*each) for each in options if each[1].required]
    more = st.lists(st.sampled_from(options).flatmap(lambda each: _given(*each)), max_size=4)
    return st.tuples(st.tuples(*required), more).map(
        lambda two: [name, *(word for given in (*two[0], *two[1]) for word in given)]
    )


def _given(card, flag):
    if card.kind == "bool":
        return st.just(flag.names(card.name))
    if flag.positional:
        return values(card, flag).map(lambda value: [value])
    return values(card, flag).map(lambda value: [f"{flag.names(card.name)[0]}={value}"])


@pytest.fixture
def stops(tmp_path, monkeypatch):
    """Work ends where it would begin. As root a folder's rights do not count, so the answer on them is changed."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "closed" not in str(path) and access(path, mode))

    class Stop:
        def __init__(self, *_, **__):
            raise UsageError("no model is loaded here")

    monkeypatch.setattr("maskunet.library.library.Library", Stop)
    for step in tabletop.STEPS:
        monkeypatch.setitem(tabletop.STEPS, step, Stop)
    return tmp_path


def said(words):
    """The exit code of a command line, what it printed, and what it said went wrong."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as exit_:
            code = exit_.code
    return code, out.getvalue(), err.getvalue()


def check(words, place):
    code, out, err = said(words)
    assert code in (0, 2), (words, code)
    assert "Traceback" not in out + err, words
    if code:
        last = err.strip().splitlines()[-1]
        assert last[-1] in ".)”" and len(last) > 20, (words, err)
        assert str(place) not in err, (words, err)


@pytest.mark.parametrize("n", [60, pytest.param(400, marks=pytest.mark.long)])
def test_no_command_line_ends_in_a_traceback_or_without_a_sentence(n, stops):
    drive(n, command_lines(), lambda words: check(words, stops))


def wrong():
    """Every number and place of every command, with what it must refuse."""
    for name, spec in SPECS.items():
        for card, flag in declared(spec.options):
            checked = card.low is not None or card.name in ("steps", "guidance")
            if card.kind in ("int", "float") and checked:
                below = "-2" if card.name == "seed" else str(int(min(card.low or 0, 0)) - 1)  # a seed of -1 draws one
                bad = [below] if card.kind == "int" else ["nan", "inf", below]
                bad += ["0"] * (card.low is not None and card.low > 0)
                yield from ((name, card.name, value) for value in bad)
            elif card.name == "out":
                places = ["folder"] if flag.writes == "file" else ["file", "loop", "closed"]
                places += ["closed/under", "file/under", "l" * 300]
                yield from ((name, "out", place) for place in places)


GOOD = {"prompts": "file", "images": "folder", "set": "a=folder", "prompt": "a red cube"}


@pytest.mark.parametrize(("name", "option", "value"), list(wrong()))
def test_numbers_and_places_that_cannot_be_are_refused_before_any_work(name, option, value, stops, monkeypatch):
    spec, groups, words = SPECS[name], set(), [name]
    monkeypatch.setattr(type(spec), "run", lambda *_: pytest.fail("work began"), raising=False)
    for card, flag in declared(spec.options):
        needed = flag.required or (flag.one_of and flag.one_of not in groups)
        groups.add(flag.one_of)
        if card.name != option and needed:
            given = GOOD.get(card.name, card.choices[0] if card.choices else "fine")
            words.append(given if flag.positional else f"--{card.name.replace('_', '-')}={given}")
    code, out, err = said([*words, f"--{option.replace('_', '-')}={value}"])
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and str(stops) not in err


# What the request or, for perplexity, the number of pictures decides, also before the work.
LATER = ("seed", "steps", "guidance", "perplexity")


def test_every_number_says_how_small_it_may_be_and_every_place_what_is_made_there():
    for name, spec in SPECS.items():
        for card, flag in declared(spec.options):
            if card.kind in ("int", "float") and card.name not in LATER:
                assert card.low is not None, (name, card.name)
            assert flag.writes if card.name == "out" else True, name
