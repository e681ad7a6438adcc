"""Every example runs, on the shipped tabletop model, with few steps."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from maskunet import runs

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("[0-9]*.py"))


def load(number):
    path = next(p for p in EXAMPLES if p.name.startswith(number))
    spec = importlib.util.spec_from_file_location(f"example_{number}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_short_and_has_a_test():
    tested = Path(__file__).read_text()
    for path in EXAMPLES:
        assert len(path.read_text().splitlines()) < 60
        assert f'load("{path.name[:2]}")' in tested


def test_removing_more_of_a_layer_moves_the_output_more():
    moved = load("01").main()
    assert moved[0.0] == 0.0
    assert 0 < moved[0.1] < moved[0.6]


def test_one_prompt_is_optimized_saved_and_drawn(tmp_path):
    example = load("02")
    out = example.main(tmp_path / "run", replace(example.REQUEST, steps=3))
    assert runs.read(out).request.prompt == example.REQUEST.prompt
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_a_reward_of_ones_own_goes_up():
    example = load("03")
    settings = {"learning_rate": 0.1, "common_noise": True, "early_steps": 0}
    before, after = example.main(replace(example.REQUEST, steps=4, settings=settings))
    assert after > before


@pytest.mark.parametrize("name", ["reward_curve"])
def test_a_run_without_rewards_over_updates_is_refused(name):
    from visualize import SPECS

    with pytest.raises(ValueError, match="no rewards"):
        SPECS[name].draw([{"step": 0, "final": False}])
