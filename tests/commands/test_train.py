"""python -m maskunet train, with a small model in place of the embedded one."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from maskunet.commands import train as train_command
from maskunet.commands.registry import main
from maskunet.library.library import Library
from maskunet.methods import SPECS as METHODS
from maskunet.records import Request
from maskunet.records.training import Preparing
from maskunet.training.data import Feed, Table
from maskunet.training.recipes import SPECS
from maskunet.training.tabletop import Tabletop
from tests.support.tiny import tiny_sd_folder
from tests.support.tiny_rewards import write_small
from tests.training.test_loop import run

pytestmark = pytest.mark.usefixtures("short_sheets")

SMALL = ["--set", "steps=2", "--set", "batch=2", "--set", "every=1"]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = []
    for number in range(3):
        Image.new("RGB", (16, 16), (80 * number, 0, 0)).save(folder / f"{number}.png")
        rows.append(json.dumps({"file_name": f"{number}.png", "text": "a red cube"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return folder


@pytest.fixture
def train(tmp_path, pictures):
    weights = tiny_sd_folder(tmp_path / "base")

    def command(*more, data=pictures, out="out"):
        place = ["--weights", str(weights), "--device", "cpu", "--model", "folder"]
        return main(["train", *SMALL, *place, "--data", str(data), "--out", str(tmp_path / out), *more])

    return command


@pytest.mark.parametrize("recipe", ["mask_generator", "lora", "full"])
def test_each_recipe_trains_and_leaves_its_part_log_and_samples(train, tmp_path, recipe):
    assert train(recipe, "--preset", "tabletop") == 0
    out = tmp_path / "out"
    rows = list(csv.DictReader((out / "log.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert (out / "trained.safetensors").stat().st_size > 0
    assert Image.open(out / "samples-2.png").size == (4 * 16, 16)
    assert json.loads((out / "training.json").read_text())["data"] == "pictures"


def test_preferences_are_learned_from_pictures_that_the_command_makes(train, pictures, tmp_path, capsys):
    write_small(tmp_path / "base" / "rewards")
    captions = ("a red cube", "a blue cube", "a cat")
    rows = [json.dumps({"file_name": f"{i}.png", "text": text}) for i, text in enumerate(captions)]
    (pictures / "metadata.jsonl").write_text("\n".join(rows))
    few = [part for each in ("pictures=2", "sampling_steps=2", "reward=hpsv2") for part in ("--set", each)]
    assert train("mask_preference", *few) == 0
    assert "step 2: loss" in capsys.readouterr().err
    assert (tmp_path / "out" / "trained.safetensors").stat().st_size > 0
    assert len(list((tmp_path / ".pictures").rglob("*.safetensors"))) == 1


def test_what_is_told_before_and_without_a_first_step(capsys):
    steps = [Preparing(done=0, total=4), Preparing(done=4, total=4, note="1 of 4 prompts are left out.")]
    train_command._follow((each for each in steps), shown=True)
    assert "1 of 4 prompts are left out." in capsys.readouterr().err
    assert train_command._the_end(None, "Stopped.") == [
        "Stopped. The pictures that were made are kept for the next time."
    ]


def test_a_finished_training_goes_on_with_more_steps(train, tmp_path, capsys):
    assert train("full", "--preset", "tabletop") == 0
    assert train("full", "--preset", "tabletop") == 2  # not over the old one
    capsys.readouterr()
    for steps in (2, 1):
        assert train("full", "--preset", "tabletop", "--resume", "--set", f"steps={steps}") == 0
        said = capsys.readouterr().err.splitlines()[-1]
        assert said == "The training in “out” has had all its 2 steps. To go on, give more of them: --set steps=4"
    assert train("full", "--preset", "tabletop", "--resume", "--set", "steps=3") == 0
    rows = list(csv.DictReader((tmp_path / "out" / "log.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    cosine = ("lora", "--preset", "tabletop", "--set", "course=cosine")
    assert train(*cosine, out="other") == 0
    assert train(*cosine, "--resume", out="other") == 0
    assert "Its learning rate, course=cosine, ends there; begin a longer one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["lora", "--preset", "none"], "no preset “none”"),
        (["lora", "--set", "rank=0"], "rank is 0; allowed is 1 to 4096"),
        (["lora", "--set", "rang=1"], "no setting “rang”"),
    ],
)
def test_mistakes_are_told_in_one_sentence(train, capsys, more, says):
    assert train(*more) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


def test_what_is_no_recipe_and_no_data_is_refused(train, capsys, tmp_path):
    with pytest.raises(SystemExit):
        train("dreams")
    assert f"there are {', '.join(SPECS)}" in capsys.readouterr().err
    assert train("lora", data=tmp_path / "nothing") == 2
    assert "neither tabletop, nor a folder, nor a Parquet file" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert train("lora", data=tmp_path / "empty") == 2
    assert "has no metadata (.jsonl" in capsys.readouterr().err
    assert train("lora", data="tabletop") == 2
    said = capsys.readouterr().err
    assert "The tabletop's pictures have 128 x 128 pixels and this base model's 16 x 16. Give a folder" in said


def test_what_is_left_out_is_counted_and_named_in_the_end(train, pictures, capsys):
    (pictures / "0.png").write_bytes(b"no picture")
    (pictures / "1.png").unlink()
    (pictures / "raw.heic").write_bytes(b"")
    assert train("lora", "--set", "steps=4") == 0
    said = capsys.readouterr().err
    assert "Left out: 1 file of other kinds in “pictures” (endings .heic), such as raw.heic." in said
    assert "1 picture was left out: damaged picture, such as 0.png." in said
    assert "1 picture was left out: a picture that is not there, such as 1.png." in said


def test_a_parquet_file_like_laion_arts_is_read_and_its_faults_are_counted(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def png(color):
        file = io.BytesIO()
        Image.new("RGB", (20, 10), color).save(file, "PNG")
        return {"bytes": file.getvalue(), "path": None}

    images = [png((255, 0, 0)), {"bytes": b"no picture", "path": None}, png((0, 0, 255)), png((0, 9, 0))]
    table = pyarrow.table({"image": images, "text": ["red", "broken", "blue", None]})
    parquet.write_table(table, tmp_path / "art.parquet")
    feed = Feed(Table(tmp_path / "art.parquet", 8), seed=0)
    found = {feed(number).caption: feed(number).image for number in range(12)}
    assert set(found) == {"red", "blue"}
    assert (found["red"] == np.array((255, 0, 0))).all()
    assert set(feed.skipped) == {"damaged picture", "no caption"}
    with pytest.raises(ValueError, match=r"needed are image and text"):
        parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "other.parquet")
        Table(tmp_path / "other.parquet", 8)


def test_tabletop_pairs_repeat_for_a_draw_and_mirror_picture_and_words_together():
    pairs = Tabletop(shards=1)
    assert len(pairs) == 1000
    a, again = pairs(3, 5), pairs(3, 5)
    assert a.caption == again.caption
    assert np.array_equal(a.image, again.image)
    drawn = [pairs(3, draw) for draw in range(6)]
    assert len({pair.caption for pair in drawn}) > 1
    both = {pair.image.tobytes() for pair in drawn}
    assert len(both) == 2  # the scene and its mirror image
    first = drawn[0].image
    other = next(pair.image for pair in drawn if pair.image.tobytes() != first.tobytes())
    assert np.abs(other[:, ::-1].astype(int) - first).mean() < 2


def test_what_was_trained_is_found_under_the_models_name_and_makes_pictures(library, tmp_path):
    mine = Library("tiny", device="cpu", specs=library._specs, trained=tmp_path)
    assert mine.load("tiny").model.trained == {}
    run(mine.load_alone("tiny"), SPECS["mask_generator"], tmp_path / "tiny" / "first", steps=1)
    run(mine.load_alone("tiny"), SPECS["lora"], tmp_path / "tiny" / "no-generator", steps=1)
    loaded = mine.load("tiny")
    assert loaded.model.trained["generator"] == {"first": tmp_path / "tiny" / "first" / "trained.safetensors"}
    method = METHODS["maskunet_trained"]
    request = Request(prompt="a red cube", steps=2)
    *_, last = method.run(loaded.model, loaded.rewards, request, method.settings())
    assert last.final
    assert last.unet_calls == 2


def test_dreambooth_takes_its_prompts_and_a_folder_without_captions(train, tmp_path, capsys):
    mug = tmp_path / "mug"
    mug.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(mug / f"{number}.jpg")
    prompts = ["--instance-prompt", "a photo of sks mug", "--class-prompt", "a photo of a mug"]
    few = ["--set", "class_pictures=2", "--set", "sampling_steps=2"]
    assert train("dreambooth", *prompts, *few, data=mug) == 0
    chosen = json.loads((tmp_path / "out" / "training.json").read_text())["settings"]
    assert (chosen["instance_prompt"], chosen["class_prompt"]) == ("a photo of sks mug", "a photo of a mug")
    assert "Nothing is held out of 3 pictures" in capsys.readouterr().err
    assert train("dreambooth", *prompts[:3], "a photo of sks mug", *few, data=mug, out="same") == 2
    assert "would teach that every mug is the subject" in capsys.readouterr().err
    assert train("lora", *prompts, data=mug, out="lora") == 2
    assert "has no setting “instance_prompt”" in capsys.readouterr().err
