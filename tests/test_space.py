"""The project as a Hugging Face Space: what a Space reads of it is there, small enough, and can be installed."""

import re
import subprocess
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from maskunet.library.library import Library
from maskunet.library.weights import model_files
from maskunet.methods import SPECS as METHODS
from maskunet.models import SPECS as MODELS
from maskunet.models.base.reading import CONFIG_FILES
from maskunet.models.tabletop import SPEC
from maskunet.studio import zero_gpu

ROOT = Path(__file__).parents[1]
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
LARGEST = 10_000_000  # bytes of a file that a Space takes without Git LFS


@pytest.fixture(scope="module")
def matter():
    """The README's front matter."""
    return yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1])


# What hub-docs' page on ZeroGPU listed in August 2026, and the torchvision that says it needs each.
ZERO_GPU = {"2.8.0": "0.23.0", "2.9.1": "0.24.1", "2.10.0": "0.25.0", "2.11.0": "0.26.0"}
ZERO_GPU_PYTHONS = ("3.10.13", "3.12.12")


def requirements(file="requirements.txt"):
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_the_front_matter_says_what_a_space_needs(matter):
    assert matter["sdk"] == "gradio" and {matter["colorFrom"], matter["colorTo"]} <= COLORS
    assert (ROOT / matter["app_file"]).is_file()
    assert len(matter["short_description"]) <= 60 and matter["title"] and matter["license"] == "apache-2.0"
    asked = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert isinstance(matter["python_version"], str) and Version(matter["python_version"]) >= Version(asked)


def test_the_requirements_can_be_met_together_with_the_spaces_own_gradio(matter):
    asked = {requirement.name: requirement for requirement in requirements()}
    assert asked["gradio"].specifier.contains(matter["sdk_version"])
    for name, requirement in asked.items():  # by name: those of this environment fit
        assert requirement.specifier.contains(metadata.version(name)), name
    assert "spaces" not in asked  # a Space brings its own


def test_a_space_gets_a_torch_that_zero_gpu_takes_and_keeps_it(matter):
    """What is installed first must satisfy requirements.txt, or the newest torch would come with that after all."""
    first = {each.name: next(iter(each.specifier)) for each in requirements("pre-requirements.txt")}
    assert first.keys() == {"torch", "torchvision"} and {each.operator for each in first.values()} == {"=="}
    torch, torchvision = (first[name].version for name in ("torch", "torchvision"))
    assert ZERO_GPU[torch] == torchvision
    asked = {requirement.name: requirement for requirement in requirements()}
    assert all(asked[name].specifier.contains(each.version) for name, each in first.items())
    assert any(python.startswith(f"{matter['python_version']}.") for python in ZERO_GPU_PYTHONS)
    said = (ROOT / "docs" / "space.md").read_text(encoding="utf-8")
    assert f"names {torch};" in said and all(version in said for version in ZERO_GPU)


def test_what_the_guide_says_is_fetched_is_what_the_model_needs():
    """Each file of `preload_from_hub` is one that a download would bring, and every part of the model is among them."""
    said = (ROOT / "docs" / "space.md").read_text(encoding="utf-8")
    repo, files = re.search(r"^  - (\S+) (\S+)$", said, re.MULTILINE).groups()
    files = files.split(",")
    assert repo == MODELS["sd15"].repo and len(files) == len(set(files))
    patterns = [each for each in model_files(MODELS["sd15"]) if "_2/" not in each]  # the second encoder is XL's
    assert all(any(fnmatch(file, pattern) for pattern in patterns) for file in files)
    assert {file.partition("/")[0] for file in files} == {pattern.partition("/")[0] for pattern in patterns}
    assert {f"{part}/{file}" for part, file in CONFIG_FILES.items()} <= set(files)


def test_the_seconds_of_a_loan_that_the_guide_names_are_those_that_are_asked_for():
    said = (ROOT / "docs" / "space.md").read_text(encoding="utf-8")
    short, long, plain, improved, official = map(
        int,
        re.search(
            r"from (\d+) to (\d+) s: (\d+) s for plain.*?(\d+) for `improved`, (\d+) for", said, re.DOTALL
        ).groups(),
    )

    def seconds(method, preset=""):
        return round(zero_gpu.loan(None, zero_gpu.expected(None, METHODS[method].settings(preset))))

    assert (short, long) == (zero_gpu.SHORTEST, zero_gpu.LONGEST)
    assert all(seconds(name) == plain for name in ("plain", "random_mask", "held_mask", "maskunet_trained"))
    assert (improved, official) == (seconds("maskunet_free", "improved"), seconds("maskunet_free", "official"))


def test_no_file_is_too_large_for_a_space():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    files = files or [p for p in ROOT.rglob("*") if ".git" not in p.parts]
    sizes = {path.name: path.stat().st_size for path in files if path.is_file()}
    assert len(sizes) > 100
    assert not {name: size for name, size in sizes.items() if size > LARGEST}


def test_without_a_gpu_and_a_download_tabletop_is_the_default(monkeypatch):
    monkeypatch.setattr("maskunet.library.weights.torch.cuda.is_available", lambda: False)
    assert Library().default == SPEC.name == "tabletop"
    assert Library().find("tabletop")
