"""The paper's tables made anew: their numbers by hand, and the command from data to table with small files."""

import csv
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from maskunet.commands.registry import main
from maskunet.evaluation.intervals import student
from maskunet.experiments.tables import make, report
from maskunet.experiments.tables.specs import SPECS
from maskunet.experiments.tables.world import _captions
from tests.support.tiny import tiny_sd_folder
from tests.support.tiny_rewards import write_small
from visualize import table_rows

ABOUT = {"model": "tiny", "command": "python -m maskunet table 4", "guidance": 2.5, "steps": 15,
         "reference": "renders", "extractor": "tabletop", "agreement": "CLIP score"}  # fmt: skip
T_3 = 4.302653  # 97.5 % quantile of Student's t with 2 degrees of freedom


def record(row, seed, frechet, step=None, **more):
    return {"row": row, "seed": seed, "step": step, "n": 10, "n_reference": 20, "frechet": frechet,
            "real": None, "kernel": frechet / 100, "agreement": 30.0, **more}  # fmt: skip


def records(light=(8.0, 9.0, 13.0)):
    plain, names = (10.0, 10.0, 20.0), ("light-without-time", "light-without-sample")
    found = [record("plain", seed, value) for seed, value in enumerate(plain)]
    for name, values in [("light", light), *((name, plain) for name in names)]:
        found += [
            record(name, seed, v, removed=0.1, trained_steps=7, held_out_loss_change=float(seed))
            for seed, v in enumerate(values)
        ]
    return found


def test_means_changes_and_intervals_are_those_computed_by_hand():
    lines = {line["row"]: line for line in report.summarize(SPECS["table_4"], records())}
    light = lines["light"]
    change = np.array([-20.0, -10.0, -35.0])  # percent, by seed
    half = T_3 * change.std(ddof=1) / math.sqrt(3)
    assert light["frechet"] == pytest.approx(10.0)
    assert light["change"] == pytest.approx(change.mean())
    assert (light["change_low"], light["change_high"]) == pytest.approx((change.mean() - half, change.mean() + half))
    assert light["kernel_change"] == pytest.approx(np.mean([-0.02, -0.01, -0.07]))
    assert (light["removed"], light["step"], light["held_out"]) == pytest.approx((0.1, 7, 1.0))
    assert lines["light-without-time"]["change"] == 0
    assert lines["plain"]["held_out"] is None


def test_one_seed_has_no_interval():
    first = [r for r in records() if r["seed"] == 0]
    line = report.summarize(SPECS["table_4"], first)[1]
    assert line["change"] == pytest.approx(-20)
    assert line["change_low"] is None
    assert "-20.0 %" in report.markdown(SPECS["table_4"], [line], ABOUT)
    with pytest.raises(ValueError, match="needs at least two"):
        student([1.0])


def test_the_paper_has_columns_of_its_own():
    lines = report.summarize(SPECS["table_4"], records())
    text = report.markdown(SPECS["table_4"], lines, ABOUT)
    rows = {cells[1].strip(): cells for cells in (line.split("|") for line in text.splitlines()) if len(cells) > 3}
    assert [rows[name][-2].strip() for name in ("row", "w/o temb", "w/o sample", "MaskUNet, light")] == [
        "paper's COCO 2017 FID-5k",
        "22.30",
        "22.14",
        "21.88",
    ]
    assert "With fewer than 2,048 pictures the distance itself is too large" in text
    assert "another model, other data, other features" in text


def test_real_pictures_say_how_small_a_distance_can_be():
    reference = np.random.default_rng(0).normal(size=(40, 3))
    assert make._real_distance(reference, 21, 0) is None
    assert 0 < make._real_distance(reference, 20, 0) < make._real_distance(reference + reference**2, 5, 0)
    found = [{**r, "real": 1.0 + r["seed"]} for r in records()]
    lines = report.summarize(SPECS["table_4"], found)
    half = T_3 / math.sqrt(3)
    assert (lines[0]["real"], lines[0]["real_high"]) == pytest.approx((2.0, 2.0 + half))
    assert "the other real ones it is 2.000 (-0.484 to 4.484)" in report.markdown(SPECS["table_4"], lines, ABOUT)


def test_the_drawing_shows_what_the_table_says():
    made = {"about": ABOUT, "summary": report.summarize(SPECS["table_4"], records())}
    panel = table_rows.draw(made).axes[0]
    assert [text.get_text() for text in panel.get_yticklabels()] == [
        "MaskUNet, light",
        "w/o temb",
        "w/o sample",
    ]
    places = [line.get_xdata()[0] for line in panel.containers for line in line.lines[:1]]
    assert places == pytest.approx([-65 / 3, 0, 0])
    paper = panel.collections[-1].get_offsets()[:, 0]
    assert paper.tolist() == pytest.approx([100 * (x / 23.39 - 1) for x in (21.88, 22.30, 22.14)])
    with pytest.raises(ValueError, match="first row only"):
        table_rows.draw({"about": ABOUT, "summary": made["summary"][:1]})


def test_along_a_training_each_checkpoint_is_a_point():
    plain = [record("plain", seed, 10.0) for seed in range(3)]
    light = [
        record(
            "light", seed, 10.0 - step / 100, step=step if step < 200 else None, removed=step / 1e4, trained_steps=200
        )
        for seed in range(3)
        for step in (50, 100, 200)
    ]
    lines = report.summarize(SPECS["figure_9b"], plain + light)
    assert [(line["step"], line["last"]) for line in lines[1:]] == [(50, False), (100, False), (200, True)]
    upper, lower = table_rows.draw({"about": ABOUT, "summary": lines}).axes
    assert upper.lines[0].get_xydata().tolist() == [[50, 0.5], [100, 1.0], [200, 2.0]]
    points = np.array([c.lines[0].get_xydata()[0] for c in lower.containers])
    assert points == pytest.approx(np.array([[50, -5], [100, -10], [200, -20]]))


def test_the_step_where_a_training_was_stopped_is_no_point(tmp_path):
    light = next(row for row in SPECS["figure_9b"].rows if row.each_checkpoint)
    folder = tmp_path / "trainings" / f"{light.name}-0"
    folder.mkdir(parents=True)
    for step in (50, 100, 137, 150, 220):  # the last one is the trained file itself, whatever its step
        (folder / f"trained-{step}.safetensors").touch()
    world = SimpleNamespace(preset="tabletop", changes={light.name: {"every": 50}})
    budget = make.Budget(steps=220, pictures=4, seeds=[0], changes={})
    names = [name for name, _ in make._parts(light, world, budget, 0, tmp_path)]
    assert names == ["light-0", "light-0-step-50", "light-0-step-100", "light-0-step-150"]


def test_captions_of_a_seed_are_always_the_same_and_of_others_not():
    first, again, other = _captions(1, 5), _captions(1, 5), _captions(2, 5)
    assert first == again == _captions(1, 9)[:5]
    assert {prompt.text for prompt in first} != {prompt.text for prompt in other}
    assert [prompt.key for prompt in first] == [f"{i:05d}" for i in range(5)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights, a folder like val2017 with its captions, and a folder to train on."""
    place = tmp_path_factory.mktemp("tables")
    tiny_sd_folder(place / "base")
    write_small(place / "base" / "rewards")
    rng = np.random.default_rng(0)
    for name in ("val", "laion"):
        (place / name).mkdir()
        for i in range(6):
            Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(place / name / f"{i}.jpg")
    (place / "annotations").mkdir()
    (place / "annotations" / "captions_val.json").write_text(
        json.dumps(
            {
                "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(6)],
                "annotations": [{"id": i, "image_id": i, "caption": "a red cube"} for i in range(6)],
            }
        )
    )
    rows = [json.dumps({"file_name": f"{i}.jpg", "text": "a blue sphere"}) for i in range(6)]
    (place / "laion" / "metadata.jsonl").write_text("\n".join(rows))
    return place


def command(files, out, *more, kind=("table", "1")):
    small = {"batch": 2, "micro_batch": 2, "every": 1}
    return [
        *kind, "--model", "folder", "--weights", str(files / "base"), "--device", "cpu", "--coco", str(files / "val"),
        "--laion", str(files / "laion"), "--extractor", "tabletop", "--steps", "2", "--pictures", "4", "--seeds", "2",
        *(word for key, value in small.items() for word in ("--set", f"{key}={value}")), "--out", str(out), *more,
    ]  # fmt: skip


@pytest.fixture
def few_steps(monkeypatch, short_sheets):
    """The paper's 50 denoising steps are many for a test."""
    from dataclasses import replace

    from maskunet.experiments.tables import world

    real = world.coco
    monkeypatch.setattr(world, "coco", lambda *a: replace(w := real(*a), request=replace(w.request, steps=2)))


def test_a_table_from_coco_and_laion_files_by_one_command(files, tmp_path, capsys, few_steps):
    assert main(command(files, tmp_path)) == 0
    said = capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "table_1.csv").open()))
    assert [row["row"] for row in rows] == ["plain", "full", "lora", "live", "light"]
    assert rows[1]["paper's COCO 2017 FID-5k"] == "24.45"
    assert "| full fine-tune | 2 |" in said
    made = json.loads((tmp_path / "table_1.json").read_text())
    assert len(made["records"]) == 10
    assert {r["n"] for r in made["records"]} == {4}
    assert str(tmp_path) not in json.dumps(made)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.png") if "pictures" in p.parts}
    assert len(before) == 5 * 2 * 4
    assert main(command(files, tmp_path, kind=("figure", "9b"))) == 0  # shares plain and light with it
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert (tmp_path / "figure_9b.svg").is_file()
    along = [line for line in csv.DictReader((tmp_path / "figure_9b.csv").open()) if line["row"] == "light"]
    assert [line["step"] for line in along] == ["1", "2"]


def test_a_folder_is_not_continued_with_another_learning_rate(files, tmp_path, capsys, few_steps):
    assert main(command(files, tmp_path, kind=("table", "4"))) == 0
    assert main(command(files, tmp_path, "--set", "learning_rate=0.5", kind=("table", "4"))) == 2
    assert "“light-0” was trained with another learning_rate" in capsys.readouterr().err


def test_a_wrong_setting_is_told_before_a_picture_is_made(files, tmp_path, capsys, few_steps):
    assert main(command(files, tmp_path, "--set", "dreams=1", kind=("table", "4"))) == 2
    assert "mask_generator has no setting “dreams”" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_line_that_is_written_names_all_that_the_table_was_made_of(files, tmp_path, few_steps):
    words = command(files, tmp_path, "--guidance", "2", kind=("table", "4"))
    words[words.index("--seeds") + 1] = "1"
    assert main(words) == 0
    line = json.loads((tmp_path / "table_4.json").read_text())["about"]["command"]
    assert line.startswith("python -m maskunet table 4 --model=folder --coco=val --laion=laion --extractor=tabletop")
    for said in (
        "--guidance=2.0",
        "--pictures=4",
        "--seeds=1",
        "--set=every=1",
        "--weights=base",
        "--device=cpu",
    ):
        assert f" {said} " in f"{line} "
    assert not {"--subject", "--split"} & {word.partition("=")[0] for word in line.split()}  # which other tables have


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("table", "1", "--split=train"), "table 1 takes no --split"),
        (("figure", "9b", "--subject=cone"), "figure 9b takes no --subject"),
        (("table", "2", "--subject=cone"), "table 2 takes no --subject"),
        (("table", "inversion", "--extractor=clip"), "table inversion takes no --extractor"),
        (("table", "dreambooth", "--seeds=2"), "table dreambooth takes no --seeds"),
    ],
)
def test_what_is_for_another_table_is_refused(tmp_path, capsys, words, said):
    with pytest.raises(SystemExit):
        main([*words, f"--out={tmp_path / 'new'}"])
    assert said in capsys.readouterr().err and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--coco": None}, "need --coco DIR"),
        ({"--pictures": "2"}, "--pictures must be at least 4"),
        ({"--laion": "nowhere"}, "neither tabletop, nor a folder"),
        ({"--coco": "laion"}, "No caption of “laion” was found"),
    ],
)
def test_mistakes_are_told_in_one_line(files, tmp_path, capsys, change, said):
    words = command(files, tmp_path)
    for flag, value in change.items():
        at = words.index(flag)
        words[at : at + 2] = [] if value is None else [flag, str(files / value) if value == "laion" else value]
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert said in capsys.readouterr().err
