"""Plots know no method, reward, kind of method or kind of mask: names, titles and colors come with the data."""

import ast
from pathlib import Path

import pytest

from maskunet import methods, rewards
from maskunet.methods.base import KINDS
from maskunet.methods.random_mask import KINDS as MASKS
from maskunet.records import Run
from visualize import SPECS
from visualize.base import COLORS

HERE = Path(__file__).parents[2] / "visualize"
NAMES = {*methods.SPECS, *rewards.SPECS, *KINDS, *MASKS} - {
    "plain",
    "masks",
}  # what studies and runs have a part called


@pytest.mark.parametrize("path", sorted(HERE.glob("*.py")), ids=lambda path: path.stem)
def test_no_plot_names_a_plug_in(path):
    tree = ast.parse(path.read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not {text for text in texts if text.removeprefix("reward_") in NAMES}


def test_a_reward_that_nobody_has_heard_of_has_its_panel_its_title_and_a_color():
    values = {"reward_a": 1.0, "reward_b": 2.0, "reward_total": 3.0, "keep_ratio": 0.5}
    rows = tuple({"step": step, "final": False, **values} for step in (0, 0, 1))
    run = Run(**dict.fromkeys((n for n in Run.__dataclass_fields__ if n != "rows"), None), rows=rows)
    figure = SPECS["reward_curve"].draw(run, titles={"a": "Aesthetics"})
    assert [axes.get_ylabel() for axes in figure.axes] == ["total reward", "Aesthetics", "b", "keep ratio"]
    colors = [axes.lines[-1].get_color() for axes in figure.axes]
    assert colors == [COLORS["ink"], COLORS["b"], COLORS["c"], COLORS["a"]]
