"""python -m maskunet mask: masks are made, combined, shown, put on and removed; every mistake in one sentence."""

import json

import numpy as np
import pytest

from maskunet.commands import mask
from maskunet.commands.registry import main
from maskunet.methods.random_mask import KINDS
from maskunet.records import held_mask
from maskunet.runs import run_folder
from tests.support import tiny_library
from tests.support.tiny import tiny_generator, tiny_mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tiny_library.write(tmp_path_factory.mktemp("mask") / "model")
    tiny_generator(folder, "light")
    tiny_mask(folder, "shipped")
    return folder


@pytest.fixture
def command(folder, tmp_path, monkeypatch, capsys):
    """Runs the command in a folder of its own; gives the exit code and what was written to both."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        capsys.readouterr()
        try:
            code = main(["mask", *words, f"--weights={folder}", "--device=cpu"])
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr()

    return run


def read(name):
    return held_mask.load(held_mask.place(mask.Path("trained"), "folder", name))


def test_the_kinds_are_those_of_the_control():
    assert mask.KINDS == KINDS


def test_masks_are_made_combined_shown_applied_listed_and_removed(command, tmp_path):
    code, said = command("make", "few", "--random", "iid", "--removed", "0.1", "--seed", "4")
    assert (
        code == 0 and said.out.startswith("few: folder, 10.00% of ") and "one for all steps, made: random." in said.out
    )
    assert command("make", "values", "--select", "cross.v")[0] == 0
    assert command("make", "light", "--generator", "light", "--prompt", "a red cube", "--steps", "3")[0] == 0
    assert len(read("light").steps) == 3

    assert command("combine", "both", "--operation", "intersection", "--of", "few", "--of", "values")[0] == 0
    assert {*read("both").at(0).tolist()} == {*read("few").at(0).tolist()} & {*read("values").at(0).tolist()}
    assert command("combine", "half", "--operation", "dose", "--dose", "0.5", "--of", "few")[0] == 0
    assert np.array_equal(read("half").at(0), read("few").at(0)[: round(len(read("few").at(0)) / 2)])
    assert command("combine", "early", "--operation=restriction", "--only=cross@1", "--steps=2", "--of=few")[0] == 0
    assert [bool(places.size) for places in read("early").steps.values()] == [False, True]
    assert command("combine", "later", "--operation", "shift", "--by", "100", "--of", "light")[0] == 0
    assert command("combine", "one", "--operation", "step", "--timestep", "600", "--of", "light")[0] == 0
    assert command("combine", "rest", "--operation", "complement", "--of", "few")[0] == 0
    assert command("combine", "same", "--operation", "carry", "--of", "few", "--from-model", "folder")[0] == 0

    code, said = command("show", "both", "--json")
    found = json.loads(said.out)
    assert found["recipe"]["made"] == "intersection" and found["static"] and found["name"] == "both"
    code, said = command("show", "both")
    assert "block1.cross.v" in said.out and "made: intersection (random, by hand)" in said.out

    picture = ["--prompt=a red cube", "--seed=7", "--steps=3"]
    assert command("apply", "few", *picture, "--dose=0.5", "--out=applied")[0] == 0
    assert command("apply", "half", *picture, "--out=halved")[0] == 0
    applied, halved = (run_folder.read(tmp_path / name) for name in ("applied", "halved"))
    assert applied.settings["mask"] == "few" and "trained/few" in applied.weights
    assert np.array_equal(applied.result_image, halved.result_image)
    assert not np.array_equal(applied.result_image, applied.base_image)

    _, said = command("list")
    names = [line.partition(":")[0] for line in said.out.splitlines()]
    assert names == ["shipped", "both", "early", "few", "half", "later", "light", "one", "rest", "same", "values"]
    assert command("remove", "half")[0] == 0
    _, said = command("list", "--json")
    assert "half" not in [each["name"] for each in json.loads(said.out)]
    damaged = held_mask.place(mask.Path("trained"), "folder", "few")
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"\xff" * 4)  # a weight that is not there
    code, said = command("list")
    assert code == 0 and "few: “few” holds no mask that can be used" in said.out and "values: folder" in said.out


def test_every_action_has_a_line_of_its_own_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["mask", "--help"])
    said = capsys.readouterr().out.splitlines()
    assert all(any(line.startswith(f"{action} ") for line in said) for action in mask.ACTIONS)


def test_a_run_gives_its_masks_and_they_give_its_picture_again(command, folder, tmp_path):
    given = ["--prompt=a red cube", "--steps=3", f"--weights={folder}", "--device=cpu"]
    asked = ["--method=random_mask", "--preset=light", "--keep-masks", "--no-base"]
    assert main(["generate", *given, *asked, "--out=made"]) == 0
    assert command("make", "again", "--run", "made")[0] == 0
    assert command("apply", "again", *given[:2], "--out=applied")[0] == 0
    made, applied = (run_folder.read(tmp_path / name) for name in ("made", "applied"))
    assert np.array_equal(made.result_image, applied.result_image)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["make", "x"], "make takes exactly one of --run, --generator, --random, --select"),
        (["make", "x", "--random=iid", "--select=all"], "make takes exactly one of"),
        (["make", "x", "--random=iid", "--removed=2"], "--removed is 2.0; allowed is 0.0 to 1.0"),
        (["make", "../x", "--random=iid"], "A mask cannot be called"),
        (["make", "shipped", "--random=iid"], "There is a mask “shipped” of folder already"),
        (["make", "x", "--run=nowhere"], "There is no run “nowhere”"),
        (["make", "x", "--generator=light"], "those of a prompt"),
        (["make", "--random=iid"], "make takes the name of a mask"),
        (["combine", "x", "--of=shipped"], "combine takes --operation"),
        (["combine", "x", "--operation=complement", "--of=shipped", "--from-model=sd15"], "--from-model goes with"),
        (["show", "shipped", "--dose=.5"], "--dose goes with --operation dose or apply"),
        (["combine", "x", "--operation=union", "--of=shipped", "--by=3"], "--by goes with --operation shift"),
        (["list", "--run=x"], "--run goes with make"),
        (["combine", "x", "--operation=union", "--of=shipped"], "A union needs two masks"),
        (["combine", "x", "--operation=dose", "--of=shipped", "--of=shipped"], "takes one mask, not 2"),
        (["combine", "x", "--operation=dose", "--dose=-1", "--of=shipped"], "--dose is -1.0"),
        (["combine", "x", "--operation=complement", "--of=other"], "There is no mask “other” of folder"),
        (["combine", "x", "--operation=carry", "--of=shipped", "--from-model=no"], "There is no model “no”"),
        (["show", "other"], "There is no mask “other” of folder. There are: shipped"),
        (["apply", "shipped"], "apply takes --prompt and --out"),
        (["apply", "other", "--prompt=a", "--out=x"], "There is no mask “other”"),
        (["remove", "shipped"], "came with folder and stays"),
        (["remove", "../x"], "A mask cannot be called"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_every_mistake_is_one_sentence(command, words, sentence):
    code, said = command(*words)
    last = said.err.rstrip("\n").splitlines()[-1]  # below the bar of what was read
    assert code == 2 and sentence in last and "Traceback" not in said.err, said.err
    assert not mask.Path("trained").exists()
