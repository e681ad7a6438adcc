"""What a run, a caller and a folder of pictures are told of how their prompts are read."""

from types import SimpleNamespace

import pytest
import torch

from maskunet.encoders.pretrained import tokenizer_from
from maskunet.methods import SPECS
from maskunet.records import Request
from maskunet.records.added import NOTHING
from maskunet.rewards import load_rewards
from maskunet.rewards.base import WeightedRewards
from maskunet.runs.compare import compare
from maskunet.runs.fine_print import notes, notes_on_many
from maskunet.tabletop.place import MODEL
from tests.support.tiny_rewards import write_small

LONG = " ".join(["a red cube"] * 40)


@pytest.fixture(scope="module")
def tabletop():
    return SimpleNamespace(name="tabletop", tokenizer=tokenizer_from(MODEL / "tokenizer"), added=NOTHING)


@pytest.fixture(scope="module")
def rewards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewards")
    write_small(folder)
    return load_rewards(folder, torch.device("cpu"), torch.float32)


def test_the_encoder_and_each_reward_say_what_they_do_not_read(tabletop, rewards):
    assert notes(tabletop, rewards, Request(prompt="a red cube and a blue sphere")) == []
    lengths = {name: part.length for name, (part, _) in rewards.parts.items()}
    said = notes(tabletop, rewards, Request(prompt=LONG, negative_prompt=LONG))
    assert said[0].startswith("The text encoder reads 24 tokens; cut off is “red cube a red cube")
    assert said[1].startswith("The text encoder reads 24 tokens of the negative prompt; cut off is “")
    assert said[2].startswith(f"HPSv2 reads {lengths['hpsv2']} tokens; cut off is “")
    assert said[3].startswith(f"ImageReward reads {lengths['image_reward']} tokens; cut off is “")
    assert len(said) == 4


def test_letters_and_unknown_words_are_told_of_both_prompts(tabletop):
    request = Request(prompt="a (red:1.3) corgi", negative_prompt="[blurry]")
    assert notes(tabletop, None, request) == [
        "Drawn as letters, not read as weights or commands: (red:1.3), [blurry].",
        "corgi is no word of this small model.",
    ]


def test_many_prompts_are_counted(tabletop, rewards):
    prompts = ["a red cube", LONG, LONG, "a <lora:x:1> corgi"]
    said = notes_on_many(tabletop, rewards, prompts, LONG)
    assert said[0].startswith("The text encoder reads 24 tokens of the negative prompt")
    assert "Prompts of which ImageReward does not read the end: 2." in said
    assert said[-2:] == (
        "Drawn as letters, not read as weights or commands: <lora:x:1>.", "corgi is no word of this small model.",
    )  # fmt: skip


@pytest.mark.parametrize("method", ["plain", "freeu", "random_mask", "syngen", "attend_and_excite"])
def test_every_methods_run_says_it_once(tiny_sd15, method):
    request = Request(prompt=f"{LONG} [x]", negative_prompt=LONG, method=method, steps=2, previews=False)

    def score(image, prompts):
        return {"total": image.mean(dim=(1, 2, 3))}

    *_, (state, run) = compare(tiny_sd15, score, request, with_base=False, methods=SPECS)
    limit = tiny_sd15.tokenizer.model_max_length
    assert state == "done"
    assert run.note.count(f"The text encoder reads {limit} tokens; cut off is") == 1
    assert f"reads {limit} tokens of the negative prompt" in run.note
    assert run.note.endswith("Drawn as letters, not read as weights or commands: [x].")


def test_a_reward_that_tells_nothing_is_no_error():
    assert WeightedRewards({"blind": (lambda image, prompts: image, 1.0)}).unread("a cube") == {}
