"""Every example runs, on the shipped tabletop model, with few steps."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from maskunet.runs import run_folder
from visualize import SPECS

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))


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
        assert f"In a clone: python -m examples.{path.stem}\n" in path.read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/README.md", "docs/python.md"])
def test_an_example_runs_in_a_clone_as_the_page_says(page):
    (module,) = set(re.findall(r"`python -m (examples\.\w+)`", (ROOT / page).read_text(encoding="utf-8")))
    assert ROOT / f"{module.replace('.', '/')}.py" in EXAMPLES


def test_an_example_runs_in_a_clone_without_an_installation():
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "examples.01_mask_one_layer"]
    done = subprocess.run(command, cwd=ROOT, env=without, capture_output=True, text=True)
    assert done.returncode == 0 and "removed 100%" in done.stdout, done.stderr


def test_removing_more_of_a_layer_moves_the_output_more():
    moved = load("01").main()
    assert moved[0.0] == 0.0
    assert 0 < moved[0.1] < moved[0.6]


def test_one_prompt_is_optimized_saved_and_drawn(tmp_path):
    example = load("02")
    out = example.main(tmp_path / "run", replace(example.REQUEST, steps=3))
    assert run_folder.read(out).request.prompt == example.REQUEST.prompt
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_a_reward_of_ones_own_goes_up():
    example = load("03")
    settings = {"learning_rate": 0.1, "common_noise": True, "early_steps": 0}
    before, after = example.main(replace(example.REQUEST, steps=2, settings=settings))
    assert after > before


def test_random_masks_at_three_ratios_are_counted_and_drawn(tmp_path, capsys):
    example = load("05")
    found = example.main(tmp_path / "grid.png", replace(example.REQUEST, steps=2))
    assert [line["removed"] for line in found["summary"]] == list(example.RATIOS)
    assert all(line["n"] == found["plain"]["n"] == example.SEEDS for line in found["summary"])
    assert f"| {example.SEEDS} | {found['summary'][0]['win_rate']:.3f} |" in capsys.readouterr().out
    assert (tmp_path / "grid.png").stat().st_size > 10_000


def test_pictures_through_the_autoencoder_are_measured_against_renders(tmp_path):
    scores = {score.name: score for score in load("06").main(tmp_path / "features.png", 20)}
    assert scores["frechet"].low < scores["frechet"].value
    assert scores["precision"].n == scores["precision"].n_reference == 20
    assert (tmp_path / "features.png").stat().st_size > 10_000


def test_masks_are_explored_and_drawn_beside_a_random_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("maskunet.runs.figures.DPI", 100)
    example = load("04")
    made = example.main(tmp_path, replace(example.REQUEST, steps=3))
    told = capsys.readouterr().out
    for method, run in made.items():
        most = run.stats.sites[int(run.stats.ratio[-1].argmax())]
        assert f"at the last step {most} loses most" in told
        assert (tmp_path / method / "removed_heat.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="no rewards"):
        SPECS["reward_curve"].draw(replace(made["random_mask"], rows=()))


def test_the_notebook_puts_masks_into_a_pipeline_and_takes_them_off():
    (path,) = (ROOT / "examples").glob("*.ipynb")
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    found = {}
    for cell in cells:
        exec("".join(cell["source"]).replace("steps=15", "steps=3"), found)
    pictures = [list(found[name].getdata()) for name in ("plain", "masked", "again", "random")]
    assert pictures[0] == pictures[2] and len(set(map(str, pictures))) == 3
