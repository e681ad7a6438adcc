"""The project as a Hugging Face Space: what a Space reads of it is there, small enough, and can be installed."""

import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from maskunet.library.library import Library
from maskunet.models.tabletop import SPEC

ROOT = Path(__file__).parents[1]
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
LARGEST = 10_000_000  # bytes of a file that a Space takes without Git LFS


@pytest.fixture(scope="module")
def matter():
    """The README's front matter."""
    return yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def requirements():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
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
