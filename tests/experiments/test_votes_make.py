"""What a study is made of: folders, runs, a race, a grid; only pictures of one prompt and seed, and nothing that tells."""

import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from maskunet.commands import vote
from maskunet.commands.registry import main
from maskunet.experiments.votes import make, sources
from maskunet.experiments.votes.sources import Made
from maskunet.records import Request
from maskunet.records.disk.shipped import shipped
from maskunet.records.votes.box import Box, Vote
from maskunet.records.votes.study import MAX_PER_VOTER, NOISE, PICTURES, read
from maskunet.runs import run_folder
from tests.runs.test_run_folder import make as a_run
from tests.support.electorate import a_study, honest, name_of, votes_of

EVIL = '<img src=x onerror="alert(1)">'


def paint(path, shade, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", "tells all")
    Image.new("RGB", size, (shade, 0, 0)).save(path, pnginfo=text)
    return path


def folders(place, methods=("masked", "plain"), count=3, **sizes):
    """A folder per method, with pictures of equal names and their prompts."""
    for m, method in enumerate(methods):
        for i in range(count):
            paint(place / method / f"{i:05d}.png", 40 * m + i, sizes.get(method, (8, 8)))
        lines = [json.dumps({"file_name": f"{i:05d}.png", "text": f"prompt {i}"}) for i in range(count)]
        (place / method / "metadata.jsonl").write_text("\n".join(lines))
    return place


def test_a_folder_per_method_is_a_study_whose_files_tell_nothing(tmp_path):
    made = sources.read([folders(tmp_path / "pictures", ("plain", "masked"))])
    study, notes = make.make(made, tmp_path / "study", per_voter=2)
    assert study == read(tmp_path / "study") and notes == []
    assert study.methods == ("masked", "plain") and study.per_voter == 2
    assert [pair.prompt for pair in study.pairs] == ["prompt 0", "prompt 1", "prompt 2"]
    for name in study.files:
        with Image.open(tmp_path / "study" / PICTURES / name) as image:
            assert not image.info
    inside = [path.relative_to(tmp_path / "study").as_posix() for path in (tmp_path / "study").rglob("*")]
    assert not [name for name in inside if "masked" in name or "plain" in name or "00000" in name]
    shade = np.asarray(Image.open(tmp_path / "study" / PICTURES / study.pairs[1].pictures[0]))[0, 0, 0]
    assert shade == 41  # of the method that its pair names first
    (check, other) = study.checks
    noise = np.asarray(Image.open(tmp_path / "study" / PICTURES / check.pictures[1]))
    assert check.methods[1] == NOISE and noise.std() > 50 and check.pictures[0] != other.pictures[0]


def test_pairs_of_different_sizes_are_shown_at_the_smaller(tmp_path):
    made = sources.read([folders(tmp_path / "pictures", masked=(16, 12), plain=(8, 8))])
    study, _ = make.make(made, tmp_path / "study", per_voter=2)
    sizes = [Image.open(tmp_path / "study" / PICTURES / name).size for name in study.pairs[0].pictures]
    assert sizes == [(8, 6), (8, 8)]


def test_only_pictures_of_one_prompt_and_seed_are_compared(tmp_path):
    def made(method, prompt="p", seed="1", same=()):
        return Made(method, tmp_path / "x.png", prompt, seed, same)

    every = [made("a"), made("b"), made("b", seed="2"), made("a", "q"), made("b", same=("sd15",)), made("c")]
    found, said = make.pairs_of(every)
    assert [(one.method, other.method) for one, other in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert said.startswith("3 pictures have no other one")
    assert {two[0].method for two in make.pairs_of(every, "a")[0]} == {"a"}
    for some, against, why in (
        ([made("a"), made("a", seed="2")], None, "only “a” has some"),
        ([], None, "there are none"),
        ([made("a"), made("b", seed="2")], None, "nothing to compare"),
        (every, "z", "no pictures by “z”. There are: a, b, c"),
    ):
        with pytest.raises(ValueError, match=why):
            make.pairs_of(some, against)


def test_a_run_is_a_pair_and_runs_of_one_prompt_and_seed_are_more(tmp_path):
    for i, (method, seed, steps) in enumerate(
        [("random_mask", 7, 4), ("freeu", 7, 4), ("freeu", 8, 4), ("pag", 7, 5)]
    ):  # fmt: skip
        run = a_run(id=f"{i:012x}", request=Request(prompt="p", seed=seed, steps=steps, method=method, preset=""))
        run_folder.write(run, tmp_path / "runs" / run.id)
    one = sources.read([tmp_path / "runs" / f"{0:012x}"])
    assert {made.method for made in one} == {"random_mask", "plain"}
    found, said = make.pairs_of(sources.read([tmp_path / "runs"]))
    assert sorted((a.method, b.method, a.seed) for a, b in found) == [
        ("freeu", "plain", "7"), ("freeu", "plain", "8"), ("pag", "plain", "7"), ("random_mask", "freeu", "7"),
        ("random_mask", "plain", "7"),
    ]  # fmt: skip
    assert said == ""


def test_a_race_compares_the_pictures_of_equal_seeds_only():
    made = sources.read([shipped("docs/results/race")])
    assert len({each.method for each in made}) == 11 and {"plain", "fk_steering"} <= {each.method for each in made}
    pairs, _ = make.pairs_of(made, "plain")
    assert all(one.seed == other.seed and one.prompt == other.prompt for one, other in pairs)
    assert 50 < len(pairs) < 90  # fewer than 9 prompts by 10 methods: best-of-N chose another seed in some


def test_a_grids_cells_are_compared_over_what_its_axes_vary(tmp_path):
    axes = [{"name": "method", "values": []}, {"name": "seed", "values": []}, {"name": "steps", "values": []}]
    cells = [
        {"x": method, "y": str(seed), "z": "4", "prompt": "p", "seed": seed, "file": f"{method}{seed}.png"}
        for method in ("plain", "freeu") for seed in (1, 2)
    ]  # fmt: skip
    cells[3]["file"] = ""  # not made
    (tmp_path / "grid.json").write_text(json.dumps({"axes": axes, "cells": cells}))
    made = sources.read([tmp_path])
    assert [(each.method, each.seed, each.path.parent.name) for each in made] == [
        ("plain, steps 4", "1", "cells"), ("plain, steps 4", "2", "cells"), ("freeu, steps 4", "1", "cells"),
    ]  # fmt: skip
    assert len(make.pairs_of(made)[0]) == 1


def test_what_a_table_made_is_compared_within_a_seed(tmp_path):
    for name in ("light-0", "light-1", "plain-0", "plain-1"):
        folders(tmp_path / "pictures", (name,), 2)
        (tmp_path / "pictures" / name / "sample.json").write_text(json.dumps({"seed": int(name[-1])}))
    found, _ = make.pairs_of(sources.read([tmp_path]))
    assert [(a.method, b.method, a.seed) for a, b in found] == [
        ("light", "plain", f"0000{i} of {seed}") for seed in (0, 1) for i in (0, 1)
    ]  # fmt: skip


def test_prompts_may_come_from_a_file_and_without_any_only_looks_are_asked_for(tmp_path, capsys):
    for method in ("a", "b"):
        paint(tmp_path / "in" / method / "00000.png", 9)
        paint(tmp_path / "in" / method / "00001-2.png", 8)
    (tmp_path / "prompts.txt").write_text("a cube\na cone\n")
    made = sources.read([tmp_path / "in"], tmp_path / "prompts.txt")
    assert {each.prompt for each in made} == {"a cube", "a cone"}
    assert main(["vote", "make", str(tmp_path / "in"), "--out", str(tmp_path / "study")]) == 0
    assert "2 pairs have no prompt" in capsys.readouterr().out


def told(capsys, *words):
    """What a command says that cannot be done."""
    try:
        assert main(["vote", *map(str, words)]) == 2
    except SystemExit as error:
        assert error.code == 2
    return capsys.readouterr().err


def test_what_cannot_be_made_a_study_is_said_in_a_sentence(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out, one = tmp_path / "study", folders(tmp_path / "one", ("only",))
    assert "only “only” has some" in told(capsys, "make", one, "--out", out)
    assert "holds no folder of pictures" in told(capsys, "make", tmp_path / "empty", "--out", out)
    assert "is no folder on this machine" in told(capsys, "make", tmp_path / "none", "--out", out)
    assert "only if they are runs" in told(capsys, "make", one, tmp_path / "empty", "--out", out)
    assert "make takes --out" in told(capsys, "make", one)
    assert "report takes a folder" in told(capsys, "report")
    assert "report takes one folder, not 2" in told(capsys, "report", one, one)
    assert "holds no study" in told(capsys, "report", one)
    assert "200" in told(capsys, "make", one, "--out", out, "--per-voter", "201")
    two = folders(tmp_path / "two")
    for path in two.rglob("*.png"):
        path.write_bytes(b"no picture")
    assert "None of the pictures can be read" in told(capsys, "make", two, "--out", out)
    assert not out.exists()
    folders(tmp_path / "two")
    assert main(["vote", "make", str(two), "--out", str(out)]) == 0
    assert "holds a study" in told(capsys, "make", two, "--out", out)
    assert "holds other files" in told(capsys, "make", two, "--out", one)
    (tmp_path / "grid" / "grid.json").parent.mkdir()
    (tmp_path / "grid" / "grid.json").write_text("{}")
    assert "holds no grid" in told(capsys, "make", tmp_path / "grid", "--out", tmp_path / "other")


def test_the_commands_report_and_export_what_was_voted(tmp_path, capsys):
    folders(tmp_path / "in", (EVIL.replace("/", ""), "plain"), 8)
    out = tmp_path / "study"
    assert main(["vote", "make", str(tmp_path / "in"), "--out", str(out)]) == 0
    study = read(out)
    assert "Nobody has voted" in told(capsys, "report", out)
    box, rng = Box(out, study.hash), np.random.default_rng(0)
    for i in range(3):
        for one in votes_of(study, name_of(i), honest(rng, {})).votes.values():
            box.add(one.voter, lambda known, voters, one=one: Vote(**{n: getattr(one, n) for n in Vote.__slots__}))
    capsys.readouterr()
    assert main(["vote", "report", str(out)]) == 0
    said = capsys.readouterr().out
    assert "8 pairs by 2 methods; 3 voters, 0 to the end" in said and "<img" not in said
    assert said == (out / "report.md").read_text() and "`python -m maskunet vote report study`" in said
    assert main(["vote", "export", str(out), "--table", str(tmp_path / "votes.csv")]) == 0
    lines = (tmp_path / "votes.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * 22 and lines[0].startswith("voter,pair,kind,prompt,seed,left,right,question,answer")
    assert str(tmp_path) not in said + "".join(lines)


def test_the_commands_own_numbers_are_the_studys():
    assert vote.MOST == MAX_PER_VOTER
    assert a_study(3).per_voter == vote.PER_VOTER
