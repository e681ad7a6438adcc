"""What only the embedded model needs is asked of its SPEC, not of its name."""

import ast
from pathlib import Path

import pytest

from maskunet.library.library import Library
from maskunet.models import SPECS
from tests.test_architecture import CODE, name

NAME = "tabletop"
ITS_OWN = (
    "maskunet/tabletop/",
    "maskunet/models/tabletop.py",
    "maskunet/experiments/tabletop/",
    "maskunet/training/tabletop.py",
)


def compared(source: str) -> list[int]:
    """The lines that compare something with the embedded model's name."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare | ast.match_case)]
    parts = ((node, part) for node in nodes for part in ast.walk(getattr(node, "pattern", node)))
    return [part.lineno for _, part in parts if isinstance(part, ast.Constant) and part.value == NAME]


@pytest.mark.parametrize("path", [path for path in CODE if not name(path).startswith(ITS_OWN)], ids=name)
def test_nobody_asks_whether_a_model_is_called_tabletop(path: Path):
    assert not compared(path.read_text())


@pytest.mark.parametrize(
    "source", ["a == 'tabletop'", "'tabletop' != a", "a in ('tabletop', 'b')", "'tabletop' in a",
               "match a:\n    case 'tabletop':\n        pass"]
)  # fmt: skip
def test_such_a_question_would_be_noticed(source):
    assert compared(source)


def test_the_embedded_model_is_the_one_to_fall_back_on():
    assert [name for name, spec in SPECS.items() if spec.embedded] == [NAME, "tabletop_web"]
    assert Library("auto", device="cpu").default == NAME
    without = {name: spec for name, spec in SPECS.items() if not spec.embedded}
    assert Library("auto", device="cpu", specs=without).default == next(iter(without))
