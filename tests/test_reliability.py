"""The table of promises: all 35 are there, and every test it names exists."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TABLE = (TESTS.parent / "docs" / "reliability.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(test_\w+)`", TABLE)


def test_every_promise_is_there_once_and_held_by_a_test():
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", TABLE, re.MULTILINE)
    assert [int(number) for number, *_ in rows] == [*range(1, 36)]
    for number, _, tests in rows:
        assert re.fullmatch(r"`[\w/]+\.py::test_\w+`(, `[\w/]+\.py::test_\w+`)*", tests), number


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_named_exists(file):
    tree = ast.parse((TESTS / file).read_text())
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {test for named, test in NAMED if named == file} <= there


def test_a_number_in_a_tests_name_is_that_of_its_promise():
    for path in TESTS.rglob("test_*.py"):
        for test, number in re.findall(r"^def (test_(\d+)_\w+)", path.read_text(), re.MULTILINE):
            named = re.search(rf"^\| {number} \|.*`{path.relative_to(TESTS).as_posix()}::{test}`", TABLE, re.MULTILINE)
            assert named or int(number) > 35, test
