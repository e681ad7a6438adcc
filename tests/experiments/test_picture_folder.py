"""Pictures of a list of prompts: sharded, resumed, never half; the command in one and in two processes."""

import json
import os
import re
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskunet import machine, seeds
from maskunet.commands.registry import main
from maskunet.evaluation import features
from maskunet.experiments import picture_folder
from maskunet.methods import SPECS
from maskunet.prompts.files import Prompt
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards
from maskunet.training.data import Folder
from tests.support.fresh import started
from tests.support.tiny import tiny_sd_folder
from tests.support.tiny_rewards import write_small
from tests.training.test_processes import free_port

TEXTS = (
    "a red cube",
    "a blue sphere",
    "a cat",
    "a dog",
    "a red sphere and a blue cube",
    "a blue cube",
    "a cube",
)
PROMPTS = [Prompt(f"{i:05d}", text) for i, text in enumerate(TEXTS)]
PLAIN = Request(prompt="-", method="plain", steps=2)


def no_rewards(image, prompts):
    return {"total": torch.zeros(len(image))}


def redness(image, prompts):
    return image[:, 0].mean((1, 2))


@pytest.fixture
def sample(tiny_sd15, tmp_path):
    """Makes pictures with the tiny model; returns every progress."""

    def make(out="out", request=PLAIN, prompts=PROMPTS[:3], **options):
        options = {"seed": 3, **options}
        return list(
            picture_folder.sample(
                options.pop("model", tiny_sd15), no_rewards, request, prompts, tmp_path / out, **options
            )
        )

    return make


def files(folder):
    """Every file with its bytes, without what says how the pictures were made."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def pixels(path):
    return np.asarray(Image.open(path))


def test_a_picture_is_the_methods_for_the_prompts_own_seed(sample, tiny_sd15, tmp_path):
    events = sample()
    assert [event.done for event in events] == [0, 1, 2, 3, 3]
    assert events[-1].complete
    request = replace(PLAIN, prompt=TEXTS[1], seed=seeds.of_prompt(3, 1))
    *_, last = SPECS["plain"].run(tiny_sd15, no_rewards, request, SPECS["plain"].settings())
    assert np.array_equal(pixels(tmp_path / "out" / "00001.png"), last.image)


@pytest.mark.parametrize("method", ["random_mask", "maskunet_trained"])
def test_any_method_makes_them(sample, tmp_path, method):
    assert sample(request=replace(PLAIN, method=method), prompts=PROMPTS[:1])[-1].complete
    assert sample("plain", prompts=PROMPTS[:1])[-1].complete
    assert (pixels(tmp_path / "out" / "00000.png") != pixels(tmp_path / "plain" / "00000.png")).any()


def test_what_is_complete_is_an_image_folder_with_captions(sample, tmp_path):
    sample(images_per_prompt=2, prompts=PROMPTS[:2])
    names = ["00000-0.png", "00000-1.png", "00001-0.png", "00001-1.png"]
    assert list(features.read_folder(tmp_path / "out").files) == names
    pairs = Folder(tmp_path / "out", 16)
    assert [pairs(i, 0).caption for i in range(len(pairs))] == [TEXTS[0]] * 2 + [TEXTS[1]] * 2
    assert np.array_equal(pairs(3, 0).image, pixels(tmp_path / "out" / names[3]))
    rows = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [seeds.of_prompt(3, i, k) for i in (0, 1) for k in (0, 1)]
    assert len({path.read_bytes() for path in (tmp_path / "out").glob("*.png")}) == 4


@pytest.mark.parametrize("world", [2, 3, 9])
def test_shards_make_what_one_process_makes(sample, tmp_path, world):
    sample("one", prompts=PROMPTS, images_per_prompt=2)
    ends = [sample("many", prompts=PROMPTS, images_per_prompt=2, rank=rank, world=world)[-1] for rank in range(world)]
    assert [end.complete for end in ends[: len(TEXTS)]][:-1] == [False] * (min(world, len(TEXTS)) - 1)
    assert ends[-1].complete
    assert sum(end.total for end in ends) == 2 * len(PROMPTS)
    assert sum(end.found for end in ends) == 0
    assert files(tmp_path / "many") == files(tmp_path / "one")


def test_a_stopped_run_goes_on_where_it_was(sample, tmp_path):
    sample("whole")
    asked = iter(["", "", "", "Stopped on request."])  # two steps and an end are one picture
    first = sample(should_stop=lambda: next(asked))
    assert not first[-1].complete
    assert first[-1].done == 1
    assert not (tmp_path / "out" / "metadata.jsonl").exists()
    kept = (tmp_path / "out" / "00000.png").stat().st_mtime_ns
    second = sample()
    assert (second[0].done, second[0].found, second[-1].complete) == (1, 1, True)
    assert (tmp_path / "out" / "00000.png").stat().st_mtime_ns == kept
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_prompt_that_fails_is_told_and_tried_again_later(sample, tmp_path):
    prompts = [PROMPTS[0], Prompt("00001", "far too long " * 100), PROMPTS[2]]
    last = sample(prompts=prompts)[-1]
    assert last.complete
    assert (last.done, list(last.failed)) == (3, ["00001.png"])
    assert "allowed are 1,000" in last.failed["00001.png"]
    assert "allowed are 1,000" in (tmp_path / "out" / "failed" / "00001.png.txt").read_text()
    rows = (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()
    assert [json.loads(row)["file_name"] for row in rows] == ["00000.png", "00002.png"]
    again = sample(prompts=prompts)
    assert (again[0].found, again[-1].done, list(again[-1].failed)) == (2, 3, ["00001.png"])


def test_prompts_that_the_text_encoder_does_not_read_to_the_end_are_counted(sample, tiny_sd15):
    longest = tiny_sd15.tokenizer.model_max_length - 2  # without the two marks at the ends
    prompts = [Prompt("a", "cube " * longest), Prompt("b", "cube " * (longest + 1)), PROMPTS[0]]
    assert sample(prompts=prompts)[0].cut == 1
    assert sample(prompts=prompts, rank=0, world=2)[0].cut == 0
    assert sample(prompts=prompts, rank=1, world=2)[0].cut == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 4}, "the seed 3, not 4"),
        ({"request": replace(PLAIN, steps=3)}, "the steps 2, not 3"),
        ({"request": replace(PLAIN, guidance=2.0)}, "the guidance 3.0, not 2.0"),
        ({"request": replace(PLAIN, negative_prompt="a cat")}, "the negative_prompt '', not 'a cat'"),
        ({"request": replace(PLAIN, method="random_mask")}, "the method 'plain', not 'random_mask'"),
        (
            {"request": replace(PLAIN, settings={"second_order": False})},
            "settings second_order True, not False",
        ),
        ({"images_per_prompt": 2}, "the images_per_prompt 1, not 2"),
        ({"prompts": PROMPTS[1:4]}, "the prompts_sha256 "),
        ({"prompts": PROMPTS[:2]}, "the prompts 3, not 2"),
    ],
)
def test_another_setting_is_refused_by_name_and_nothing_changes(sample, tmp_path, change, said):
    sample()
    before = files(tmp_path / "out")
    with pytest.raises(ValueError, match=r"“out” was made with the .*Give the same") as refused:
        sample(**change)
    assert said in str(refused.value)
    assert files(tmp_path / "out") == before


def test_other_weights_are_refused(sample, tiny_sd15):
    sample()
    with pytest.raises(ValueError, match=r"the weights \w+/\S+ '\w+', not 'other'"):
        sample(model=replace(tiny_sd15, weights={**tiny_sd15.weights, next(iter(tiny_sd15.weights)): "other"}))


def test_pictures_that_another_reward_steered_are_refused_beside_one_that_says_so(tiny_sd15, tmp_path):
    def make(sha256):
        red = partial(redness)
        red.sha256 = sha256
        asked = replace(PLAIN, method="maskunet_free", settings={"updates": 1})
        rewards = WeightedRewards({"red": (red, 1.0)})
        return list(picture_folder.sample(tiny_sd15, rewards, asked, PROMPTS[:1], tmp_path / "out", seed=3))

    assert make("one")[-1].complete
    with pytest.raises(ValueError, match="made with the weights rewards/red 'one', not 'two'"):
        make("two")
    path = tmp_path / "out" / "sample.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "weights": dict(tiny_sd15.weights)}))  # as it was said before
    assert make("two")[-1].complete


def test_a_folder_of_before_there_was_a_setting_goes_on_with_its_default(sample, tmp_path):
    sample()
    path = tmp_path / "out" / "sample.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "settings": {"second_order": True}}))
    assert sample()[-1].complete
    with pytest.raises(ValueError, match=r"made with the settings guidance_until 1\.0, not 0\.5"):
        sample(request=replace(PLAIN, settings={"guidance_until": 0.5}))


def test_other_versions_of_the_libraries_may_go_on(sample, tmp_path):
    sample()
    path = tmp_path / "out" / "sample.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "versions": {"torch": "1.0"}}))
    assert sample()[-1].complete


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompts": []}, "0 prompts with 1 images each"),
        ({"images_per_prompt": 0}, "3 prompts with 0 images each"),
        ({"prompts": [PROMPTS[0], PROMPTS[0]]}, "the same key"),
        ({"seed": -1}, "The seed is -1; allowed is 0 to 18,446,744,073,709,551,615"),
        ({"seed": 2**64}, "The seed is 18,446,744,073,709,551,616"),
        ({"request": replace(PLAIN, method="none")}, "There is no method “none”"),
        ({"request": replace(PLAIN, preset="none")}, "no preset “none”"),
        ({"request": replace(PLAIN, settings={"none": 1})}, "no setting “none”"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(sample, tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        sample(**change)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(sample, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.png").write_text("mine")
    with pytest.raises(ValueError, match="“mine” holds other files"):
        sample("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="“file” is a file"):
        sample("file")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sample.json").write_text('{"seed": ')
    with pytest.raises(ValueError, match=r"“sample.json” in “broken” cannot be read"):
        sample("broken")


def test_a_full_disk_leaves_no_half_picture(sample, tmp_path, monkeypatch):
    def full(image, path, *kind):
        path.write_bytes(b"\x89PNG")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "save", full)
        with pytest.raises(OSError, match="No space"):
            sample()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["sample.json"]
    assert sample()[-1].complete


# The command


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Weights with rewards, and a list of prompts."""
    folder = tmp_path_factory.mktemp("sample")
    tiny_sd_folder(folder / "base")
    write_small(folder / "base" / "rewards")
    (folder / "list.txt").write_text("\r\n".join(TEXTS * 4))
    return folder


def words(place, out, *more):
    return [
        "sample", "--prompts", str(place / "list.txt"), "--model", "folder", "--weights", str(place / "base"),
        "--device", "cpu", "--method", "plain", "--steps", "6", "--seed", "3", "--batch", "1", "--out", str(out), *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(place):
    """The folder of one process that was never stopped."""
    assert main(words(place, place / "unbroken")) == 0
    return files(place / "unbroken")


def test_the_command_makes_the_folder_and_says_so(place, unbroken, tmp_path, capsys):
    assert len([name for name in unbroken if name.endswith(".png")]) == 4 * len(TEXTS)
    assert main(words(place, tmp_path / "few", "--n", "2")) == 0
    said = capsys.readouterr().err
    assert "Process 0: 2 of 2 pictures are there (0 were before)." in said
    assert "The folder is complete: metadata.jsonl lists the pictures with their captions." in said
    made = json.loads((tmp_path / "few" / "sample.json").read_text())
    assert (made["model"], made["method"], made["preset"], made["steps"]) == (
        "folder",
        "plain",
        "second_order",
        6,
    )
    assert (tmp_path / "few" / "00001.png").read_bytes() == unbroken["00001.png"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--prompts", "none.txt"], "“none.txt” cannot be read"),
        (["--n", "0"], "--first must be at least 1"),
        (["--method", "none"], "There is no method “none”"),
        (["--set", "none=1"], "no setting “none”"),
        (["--images-per-prompt", "0"], "--images-per-prompt must be at least 1"),
    ],
)
def test_the_commands_mistakes_are_told_in_one_line(place, tmp_path, capsys, more, said):
    try:
        code = main(words(place, tmp_path / "out", *more))
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_list_of_which_nothing_can_be_made_is_no_success(place, tmp_path, capsys):
    (tmp_path / "bad.txt").write_text("x" * 1001)
    assert main(words(place, tmp_path / "out", "--prompts", str(tmp_path / "bad.txt"))) == 2
    said = capsys.readouterr().err
    assert "00000.png failed: The prompt has 1,001 characters; allowed are 1,000." in said
    assert "1 failed" in said


def test_what_is_no_rank_is_refused(monkeypatch):
    assert machine.place() == (0, 1)
    for rank, world in (("1", "4"), ("0", "1")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", world)
        assert machine.place() == (int(rank), int(world))
    for rank, world in (("2", "2"), ("-1", "2"), ("a", "2"), ("0", "")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", world)
        with pytest.raises(ValueError, match="RANK is"):
            machine.place()


def torchruns(folder):
    """The variables that torchrun gives to each of two processes."""
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_addr", "127.0.0.1"]
    note = [f"--master_port={free_port()}", "--no-python", "sh", "-c", f"env > '{folder}/'$RANK"]
    torchrun = started([*launch, *note], said=folder / "torchrun.txt")
    torchrun.join(timeout=240)
    assert torchrun.exitcode == 0, (folder / "torchrun.txt").read_text()[-2000:]
    lines = [(folder / rank).read_text().splitlines() for rank in "01"]
    return [dict(line.split("=", 1) for line in each if re.match("[A-Z_]*(RANK|WORLD|MASTER)", line)) for each in lines]


def test_two_processes_share_a_list_without_loss_or_duplicates(place, unbroken):
    out = place / "together"
    running = [
        started(["-m", "maskunet", *words(place, out)], said=place / f"together-{variables['RANK']}.txt", **variables)
        for variables in torchruns(place)
    ]
    for rank, process in enumerate(running):  # each made its half, and none of the other's
        process.join(timeout=240)
        said = (place / f"together-{rank}.txt").read_text()
        assert process.exitcode == 0, said[-2000:]
        assert f"Process {rank}: {2 * len(TEXTS)} of {2 * len(TEXTS)} pictures are there (0 were before)" in said
    assert files(out) == unbroken


def begun(place, out, *, pictures, said=Path(os.devnull)):
    """The command in a process of its own that has made so many pictures."""
    running = started(["-m", "maskunet", *words(place, out)], said=said)
    limit = time.monotonic() + 120
    while len(list(out.glob("0*.png"))) < pictures and running.exitcode is None and time.monotonic() < limit:
        time.sleep(0.005)
    return running


def test_a_process_killed_midway_is_resumed_to_the_same_bytes(place, unbroken):
    out = place / "killed"
    running = begun(place, out, pictures=3)
    running.kill()
    running.join()
    made = {path.name: path.stat().st_mtime_ns for path in out.glob("0*.png")}
    assert 3 <= len(made) < 4 * len(TEXTS)
    assert not (out / "metadata.jsonl").exists()
    assert all(unbroken[name] == (out / name).read_bytes() for name in made)
    assert main(words(place, out)) == 0
    assert files(out) == unbroken
    assert {name: (out / name).stat().st_mtime_ns for name in made} == made


def test_ctrl_c_ends_the_command_in_good_order(place, unbroken):
    out = place / "interrupted"
    running = begun(place, out, pictures=1, said=place / "said.txt")
    os.kill(running.pid, signal.SIGINT)
    running.join(timeout=120)
    said = (place / "said.txt").read_text()
    assert running.exitcode == 0, said[-2000:]
    assert "Stopped on request." in said
    assert {p.suffix for p in out.iterdir()} == {".png", ".json"}
    assert main(words(place, out)) == 0
    assert files(out) == unbroken


def test_pictures_of_a_batch_are_those_made_alone_up_to_rounding(sample, tmp_path):
    sample("alone")
    assert [event.done for event in sample("batch", batch=2)] == [0, 1, 2, 3, 3]
    for name in ("00000.png", "00001.png", "00002.png"):
        alone, mine = (pixels(tmp_path / folder / name).astype(int) for folder in ("alone", "batch"))
        assert np.abs(alone - mine).max() <= 1


def test_a_batch_that_does_not_fit_is_made_in_halves(sample, tiny_sd15, tmp_path, monkeypatch):
    plain, sizes = SPECS["plain"].run, []

    def crowded(model, rewards, requests, settings):
        sizes.append(len(requests))
        if len(requests) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        yield from type(plain).together(plain, model, rewards, requests, settings)

    monkeypatch.setattr(plain, "together", crowded)
    assert sample(prompts=PROMPTS[:4], batch=4)[-1].complete
    assert sizes[:2] == [4, 2] and max(sizes[1:]) == 2
