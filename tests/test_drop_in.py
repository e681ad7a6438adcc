"""One more of anything is one new file: dropped into a copy of the package, it is on the page, in commands and in --help."""

import json
import shutil
from pathlib import Path

import pytest

from maskunet import plugins
from maskunet.rewards import SPECS
from tests.support.fresh import ROOT, started

FILES, SCRIPT = ROOT / "tests" / "drop_in", ROOT / "tests" / "support" / "dropped.py"
WEIGHTS = Path("maskunet", "tabletop", "weights")
LISTED = (  # rooms whose plug-ins are named without importing them, for --help
    "maskunet.bench", "maskunet.commands", "maskunet.evaluation.benchmarks", "maskunet.evaluation.extractors",
    "maskunet.methods", "maskunet.models", "maskunet.rewards", "maskunet.training.recipes",
)  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the copy says of itself."""
    place = tmp_path_factory.mktemp("copy")
    for package in ("maskunet", "visualize"):
        left = shutil.ignore_patterns("__pycache__", WEIGHTS.name)
        shutil.copytree(ROOT / package, place / package, ignore=left)
    (place / WEIGHTS).symlink_to(ROOT / WEIGHTS)
    shutil.copytree(FILES, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    process = started([SCRIPT], place, said=place / "said.txt", site=place, COLUMNS="2000")  # --help in unbroken lines
    process.join(timeout=600)
    assert process.exitcode == 0, (place / "said.txt").read_text()[-3000:]
    said = json.loads((place / "found.json").read_text())
    assert Path(said["place"]) == place / "maskunet"
    return said


def test_every_dropped_file_is_one_and_has_a_room_of_its_own():
    files = [path.relative_to(FILES) for path in FILES.rglob("*.py")]
    assert len({path.parent for path in files}) == len(files) == 11
    assert not any((ROOT / path).exists() for path in files)


def test_a_base_model(found):
    assert "dropped_model" in found["help"]["generate"]
    assert "Dropped model is not on this machine (1.25 GB)" in found["model"]
    assert "Dropped model" in found["page"]


def test_a_reward(found):
    assert "dropped_reward" in found["help"]["race"]
    assert "weight of Dropped reward" in found["optimized"]
    assert "weight of Dropped reward" in found["page"]
    assert {"image_reward", "hpsv2", "dropped_reward", "total"} <= set(found["rewards"])
    assert found["searched"]["dropped_reward"] != found["rewards"]["dropped_reward"]
    weights = {name: spec.weight for name, spec in SPECS.items()} | {"dropped_reward": 0.5}
    total = sum(weight * found["rewards"][name] for name, weight in weights.items())
    assert found["rewards"]["total"] == pytest.approx(total, abs=1e-4)


def test_a_method(found):
    assert "dropped_method" in found["help"]["generate"]
    assert "dropped_method: A method in one file." in found["methods"]
    assert "Dropped method" in found["page"]
    assert "dropped_method" in found["entrants"]


def test_a_recipe(found):
    assert "dropped_recipe" in found["help"]["train"]
    assert "dropped_recipe: A recipe in one file." in found["recipes"]
    assert "Dropped recipe" in found["page"]


def test_a_tab(found):
    assert "Dropped tab" in found["page"] and "What the dropped tab says." in found["page"]


def test_a_command(found):
    assert "a command in one file" in found["help"][""]
    assert "what it says" in found["help"]["dropped_command"]
    assert found["command"] == "The dropped command says hello.\n"


def test_a_benchmark(found):
    assert "dropped_benchmark" in found["help"]["benchmark"]
    assert "Dropped benchmark" in found["benchmark"]


def test_an_extractor_and_a_metric(found):
    assert "dropped_extractor" in found["help"]["features"]
    assert "Dropped extractor" in found["page"]
    assert "Dropped metric" in found["measures"]


def test_a_plot(found):
    assert found["figure"] == "Dropped plot: dropped_plot.png, .svg, .pdf, .csv"


def test_a_bench(found):
    assert "dropped_bench" in found["help"]["bench"]
    assert found["bench"].split() == ["dropped", "3"]


@pytest.mark.parametrize("package", LISTED)
def test_what_help_names_are_the_names_of_the_plug_ins(package):
    assert set(plugins.names(package)) == set(plugins.discover(package))
