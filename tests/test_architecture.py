"""Who may import whom, read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(p for folder in ("maskunet", "visualize") for p in (ROOT / folder).rglob("*.py")) + [
    ROOT / "app.py"
]
HEAVY = {"diffusers", "transformers", "open_clip", "torchvision", "peft", "accelerate"}
PLUG_INS = ("models", "rewards", "methods", "metrics")
WITHOUT_TORCH = ("maskunet/ui/", "visualize/", "maskunet/records.py", "maskunet/discover.py", "app.py")


def imports(path, top_only):
    """The modules a file names in imports; `top_only` leaves out those inside functions."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_rooms_are_entered_through_their_doors(path):
    used, roots = imports(path, False), {m.split(".")[0] for m in imports(path, False)}
    if not name(path).startswith(("maskunet/ui/", "app.py")):
        assert not any(m == "gradio" or m.startswith("maskunet.ui") for m in used)
    if name(path).startswith(WITHOUT_TORCH):
        assert "torch" not in roots
    if name(path).startswith("maskunet/ui/"):
        allowed = ("maskunet.ui", "maskunet.records", "maskunet.runs", "visualize")
        assert all(m.startswith(allowed) or m == "maskunet" for m in used if m.startswith("maskunet"))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_heavy_libraries_wait_until_they_are_needed(path):
    assert not {m.split(".")[0] for m in imports(path, True)} & HEAVY


@pytest.mark.parametrize("room", PLUG_INS)
def test_plug_ins_know_only_their_base(room):
    for path in (ROOT / "maskunet" / room).glob("*.py"):
        if path.stem not in ("__init__", "base"):
            siblings = {m for m in imports(path, False) if m.startswith(f"maskunet.{room}.")}
            assert {m.split(".")[2] for m in siblings} <= {"base"}, path.name


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_stay_short_and_are_named_for_what_they_do(path):
    assert len(path.read_text().splitlines()) <= 350
    assert path.stem not in ("utils", "helpers", "common", "manager", "misc")
