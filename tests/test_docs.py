"""The documentation points at what exists: links, files of the package, commands with their flags, every page."""

import argparse
import ast
import importlib
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

from maskunet.library.download import plan
from maskunet.methods import SPECS as METHODS
from tests.test_architecture import CODE, FLOORS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)\s]+)\)")
# `visualize/test_*` are files of the tests, which reliability.md names from there.
CODE_PATH = re.compile(r"(?<![\w/])(?:maskunet|visualize(?!/test_)|tests|examples)/[\w./-]*\w")
PROGRAM = r"(?:python|accelerate launch) (?:-m )?(maskunet|app\.py)\b"
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
NOT_THERE = re.compile(r"my_\w+\.py")  # the file that CONTRIBUTING.md's reader is about to write


def markdown():
    """Every Markdown file of the repository."""
    listed = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True, text=True).stdout
    found = [ROOT / name for name in listed.split("\0") if name] or [*ROOT.rglob("*.md")]
    return [path for path in found if path.is_file()]


PAGES = markdown()


def name(path):
    return path.relative_to(ROOT).as_posix()


def broken_links(page, text):
    """Relative links of a page to files that are not there, or to headings that are not in them."""
    broken = set()
    for link in LINK.findall(text):
        if re.match(r"\w+:", link):
            continue
        file, _, heading = link.partition("#")
        target = (page.parent / file) if file else page
        if not target.exists() or heading and heading not in headings(target):
            broken.add(link)
    return broken


def headings(page):
    """The anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def missing_paths(text):
    """Paths of the repository's code that a text names and that do not exist."""
    named = (ROOT / path for path in CODE_PATH.findall(text))
    wanted = (path.parent if NOT_THERE.fullmatch(path.name) else path for path in named)
    return {name(path) for path in wanted if not path.exists()}


def docstrings(path):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    found = (ast.get_docstring(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))
    return "\n".join(text for text in found if text)


def commands(text):
    """(program, arguments) of every command in a piece of code, without comments and with lines put together."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        for program, rest in re.findall(PROGRAM + r"([^;|&]*)", line):
            yield program, shlex.split(rest, comments=True)


def in_blocks(text):
    """The commands to copy: those in fenced blocks."""
    return [command for block in BLOCK.findall(text) for command in commands(block)]


def in_sentences(text):
    """The commands that a sentence names, often without all of their options."""
    return [command for code in INLINE.findall(BLOCK.sub("", text)) for command in commands(code.replace("\n", " "))]


class _Parsed(BaseException):
    """In place of running what was parsed."""


def parsed(program, arguments):
    """The parser that a program has parsed its arguments with; nothing runs.

    Raises:
        SystemExit: the arguments are wrong.
    """
    main = importlib.import_module({"app.py": "app", "maskunet": "maskunet.commands.registry"}[program])
    parse, used = argparse.ArgumentParser.parse_args, []

    def only_parse(self, *args, **kwargs):
        used.append(self)
        parse(self, *args, **kwargs)
        raise _Parsed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(_Parsed):
        patch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
        (main.arguments if program == "app.py" else main.main)(arguments)
    return used[0]


@cache
def known_commands():
    """The parser of every command, by name."""
    actions = parsed("maskunet", ["doctor"])._actions
    (found,) = (each for each in actions if isinstance(each, argparse._SubParsersAction))
    return dict(found.choices)


def options(program, command):
    """Every option of a program, or of one of its commands; none if there is no such command."""
    parser = parsed(program, []) if program == "app.py" else known_commands().get(command)
    return {*parser._option_string_actions} if parser else set()


def wrong_in(program, arguments):
    """The command, or its options, that do not exist."""
    command = "" if program == "app.py" else arguments[0] if arguments else "COMMAND"
    if command == "COMMAND":
        return set()
    given = {each.partition("=")[0] for each in arguments if re.match(r"--?[a-z]", each)}
    known = options(program, command)
    return given - known if known else {command}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_points_to_something(page):
    assert not broken_links(page, page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_path_of_the_code_that_a_page_names_exists(page):
    assert not missing_paths(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", CODE, ids=name)
def test_every_path_of_the_code_that_a_docstring_names_exists(path):
    assert not missing_paths(docstrings(path))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_names_exists_with_its_options(page):
    text = page.read_text(encoding="utf-8")
    for program, arguments in (*in_sentences(text), *in_blocks(text)):
        assert not wrong_in(program, arguments), (program, *arguments)


@pytest.mark.parametrize("page", [page for page in PAGES if in_blocks(page.read_text(encoding="utf-8"))], ids=name)
def test_every_command_to_copy_can_be_given_as_it_is(page):
    for program, arguments in in_blocks(page.read_text(encoding="utf-8")):
        parsed(program, arguments)


def test_the_readme_is_short_and_its_commands_are_found():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 160
    assert ("app.py", []) in in_blocks(text) and ("maskunet", ["download", "rewards"]) in in_blocks(text)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_size_of_a_download_is_the_one_that_is_told(page):
    for what, size in re.findall(r"maskunet download (\w+) +# ([\d.]+) GB", page.read_text(encoding="utf-8")):
        assert f"{plan(what).gigabytes:.1f}" == size


def test_the_methods_that_rewards_steer_are_named():
    (said,) = re.findall(r"^Rewards steer (.+?);", (DOCS / "methods.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {*re.findall(r"`(\w+)`", said)} == {name for name, spec in METHODS.items() if spec.needs_rewards}


def test_every_command_is_in_the_list_of_commands():
    listed = re.findall(r"^\| (`.+?`) \|", (DOCS / "command-line.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for names in listed for name in re.findall(r"`(\w+)`", names)} == {*known_commands()}


def test_every_page_is_in_the_index():
    listed = set(LINK.findall((DOCS / "README.md").read_text(encoding="utf-8")))
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= listed


def test_every_result_has_its_command():
    text = (DOCS / "results" / "README.md").read_text(encoding="utf-8")
    said = {link.partition("/")[0] for link in LINK.findall(text)}
    assert {path.name for path in (DOCS / "results").iterdir()} - {"README.md"} <= said


def test_every_room_is_on_the_floor_plan():
    plan, picture = ((DOCS / file).read_text(encoding="utf-8") for file in ("architecture.md", "floors.svg"))
    for room in (room for rooms in FLOORS for room in rooms):
        assert re.search(rf"^ *\d? *{room}(/|\.py)? ", plan, re.MULTILINE) or f"{room}/ " in plan, room
        assert f">{room}</text>" in picture, room


def test_what_does_not_exist_would_be_noticed():
    assert broken_links(ROOT / "README.md", "[a](docs/nowhere.md) [b](docs/speed.md#nowhere)") == {
        "docs/nowhere.md",
        "docs/speed.md#nowhere",
    }
    assert missing_paths("see `maskunet/masks/nowhere.py` and maskunet/nowhere/my_file.py")
    wrong = "`python -m maskunet nowhere` `python -m maskunet race --nowhere` `python app.py --nowhere`"
    assert [wrong_in(*command) for command in in_sentences(wrong)] == [
        {"nowhere"},
        {"--nowhere"},
        {"--nowhere"},
    ]
    with pytest.raises(SystemExit):
        parsed("maskunet", ["table", "5", "--out", "DIR"])
