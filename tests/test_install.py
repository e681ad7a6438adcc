"""The project as `pip install .` leaves it: a wheel in a folder of its own, used where no repository is in sight."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from maskunet import __version__
from maskunet.studio.features import FeatureStudio
from maskunet.ui import explore_words, gallery, race_words
from maskunet.ui.html import race, study
from tests.support.fresh import ROOT, started

PIP = (sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check")
ALONE = ("--no-deps", "--no-index")  # nothing is asked of the network
# The package's place, its gallery, feature sets, race and study, a picture's size, and the page.
USED = """
import json
import os
from pathlib import Path
import maskunet
from maskunet.studio.features import FeatureStudio
from maskunet.ui import gallery, page
from maskunet.ui.html import race, study
sets = [card.title for card in FeatureStudio().sets()]
*_, last = maskunet.Lab("tabletop", device="cpu").events("a red cube", method="plain", steps=1)
demo = page.build(maskunet.Studio(Path("runs"), "tabletop", device="cpu"))
Path("used.json").write_text(json.dumps([
    maskunet.__file__, list(gallery.load()), sets, race.shipped_races(), study.section(), last.image.shape,
    str(demo.get_config_file()),
]))
os._exit(0)  # as the program ends: the studio's thread, which loads a model, is not waited for
"""


def test_the_dependencies_are_those_of_the_requirements():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the wheel was installed to."""
    home = tmp_path_factory.mktemp("install")
    built = (*PIP, "wheel", *ALONE, "--no-build-isolation", "--wheel-dir", str(home), str(ROOT))
    subprocess.run(built, check=True)
    (wheel,) = home.glob("*.whl")
    assert f"-{__version__}-" in wheel.name
    subprocess.run((*PIP, "install", *ALONE, "--no-compile", "--target", str(home / "site"), str(wheel)), check=True)
    return home / "site"


def output(installed, folder, *command):
    """What a command prints that is run in a folder where nothing else is."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "GRADIO_TEMP_DIR": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_commands_are_there(installed, tmp_path):
    for command in ((sys.executable, "-m", "maskunet"), (installed / "bin" / "maskunet",)):
        assert output(installed, tmp_path, *command, "--version") == f"{__version__}\n"
    assert "--images" in output(installed, tmp_path, installed / "bin" / "maskunet-lab", "--help")


def test_without_the_repository_it_makes_pictures_and_the_page_shows_the_same_results(installed, tmp_path):
    (tmp_path / "use.py").write_text(USED)
    process = started(
        ["use.py"], tmp_path, said=tmp_path / "said.txt", site=installed, GRADIO_TEMP_DIR=str(tmp_path / "cache")
    )
    process.join(300)
    assert process.exitcode == 0, (tmp_path / "said.txt").read_text()
    place, runs, sets, raced, studied, shape, page = json.loads((tmp_path / "used.json").read_text())
    assert Path(place).is_relative_to(installed) and shape == [128, 128, 3]
    assert runs and runs == list(gallery.load())
    assert sets and sets == [card.title for card in FeatureStudio().sets()]
    assert set(raced) == set(race.FOLDERS) and raced == race.shipped_races()
    assert studied and studied == study.section()
    assert all(said in page for said in ("Tabletop", explore_words.STUDY, race_words.TITLE)) and str(ROOT) not in page


def test_everything_that_is_shipped_is_in_the_wheel(installed):
    code = [path.read_text() for path in (ROOT / "maskunet").rglob("*.py")]
    names = {name for text in code for name in re.findall(r'\bshipped\("([^"]+)"\)', text)}
    assert len(names) >= 4
    assert all((installed / "maskunet" / "shipped" / name).is_dir() for name in names)
    for base, folder in race.FOLDERS.items():
        shown = installed / "maskunet" / "shipped" / folder.relative_to(ROOT) / "shown"
        numbers = {each["number"] for each in race.shipped_races()[base]["shown"]}
        assert numbers == {int(path.stem) for path in shown.glob("*.webp")}
