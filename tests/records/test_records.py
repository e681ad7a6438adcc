"""What a request accepts, and what an event and a run say of themselves."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from maskunet.records import MAX_PROMPT, Request, StepEvent


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": " \n\t"}, "prompt is empty"),
        ({"prompt": "a" * 10_000}, "10,000 characters"),
        ({"prompt": "a\x00b"}, "control characters"),
        ({"prompt": "a\x1b[31mb"}, "control characters"),
        ({"prompt": "\ud800"}, "control characters"),
        ({"prompt": 7}, "must be text"),
        ({"prompt": "x", "negative_prompt": "y\x07"}, "negative prompt holds control"),
        ({"prompt": "x", "seed": -2}, "seed is -2"),
        ({"prompt": "x", "seed": 2**64}, "seed is 18,446,744,073,709,551,616"),
        ({"prompt": "x", "seed": 10**400}, "seed is a number of more than 20 digits"),
        ({"prompt": "x", "seed": math.nan}, "seed must be a number"),
        ({"prompt": "x", "seed": True}, "seed must be a number"),
        ({"prompt": "x", "seed": "seven"}, "seed must be a number"),
        ({"prompt": "x", "seed": "1.5"}, "whole number"),
        ({"prompt": "x", "seed": "9" * 5000}, "seed must be a number"),
        ({"prompt": "x", "seed": [7]}, "seed must be a number"),
        ({"prompt": "x", "seed": 1.5}, "whole number"),
        ({"prompt": "x", "steps": 0}, "steps is 0; allowed is 1 to 100"),
        ({"prompt": "x", "steps": 101}, "steps is 101"),
        ({"prompt": "x", "steps": math.inf}, "steps must be a number"),
        ({"prompt": "x", "guidance": 0.5}, "guidance scale is 0.5"),
        ({"prompt": "x", "guidance": math.nan}, "guidance scale must be a number"),
        ({"prompt": "x", "model": "../../etc/passwd"}, "model must be a name"),
        ({"prompt": "x", "method": None}, "method must be a name"),
        ({"prompt": "x", "preset": "a b"}, "preset must be a name"),
        ({"prompt": "x", "settings": [1]}, "settings must be"),
        ({"prompt": "x", "settings": {f"s{i}": i for i in range(65)}}, "at most 64"),
        ({"prompt": "x", "settings": {"a": [1]}}, "setting a must be"),
        ({"prompt": "x", "settings": {"a": "y" * 1001}}, "setting a has 1,001 characters; allowed are 1,000"),
    ],
)
def test_a_bad_request_is_refused_in_one_sentence(given, says):
    with pytest.raises(ValueError, match="^[^\n]*$") as error:
        Request(**given)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "prompt",
    ["<img src=x onerror=alert(1)>", "красный куб", "赤い立方体", "🟥\u200d🟦", "a" * MAX_PROMPT],
)
def test_html_and_any_script_are_ordinary_text(prompt):
    assert Request(prompt=prompt).prompt == prompt


def test_whole_numbers_given_as_floats_become_integers():
    request = Request(prompt="x", seed=7.0, steps=15.0)
    assert (repr(request.seed), repr(request.steps)) == ("7", "15")


def test_a_negative_prompt_may_be_longer_and_a_next_line_is_no_control_character():
    assert len(Request(prompt="x", negative_prompt="lowres, " * 160).negative_prompt) == 1280
    assert Request(prompt="a\x85b").prompt == "a\x85b"
    with pytest.raises(ValueError, match="negative prompt has 2,001 characters; allowed are 2,000"):
        Request(prompt="x", negative_prompt="y" * 2001)


@pytest.mark.parametrize("given", ["7", " 7 ", "7.0", 7.0, "+7"])
def test_a_seed_may_be_written_as_other_programs_do(given):
    assert repr(Request(prompt="x", seed=given).seed) == "7"
    assert Request(prompt="x", seed=str(2**64 - 1)).seed == 2**64 - 1


@pytest.mark.parametrize("given", [-1, "-1", None, "", " ", -1.0])
def test_a_seed_that_stands_for_any_is_drawn_once(given):
    drawn = [Request(prompt="x", seed=given) for _ in range(8)]
    assert len({request.seed for request in drawn}) > 1 and all(0 <= request.seed < 2**32 for request in drawn)
    assert replace(drawn[0], prompt="y").seed == drawn[0].seed


def test_a_row_is_plain_json_even_with_a_reward_that_is_not_a_number():
    event = StepEvent(
        step=2, steps=4, timestep=500, update=1, updates=3, loss=math.inf,
        rewards={"image_reward": math.nan, "total": 1.5},
        keep_ratio={"a": 0.5, "b": 1.0}, kept=0.9, image=np.zeros((2, 2, 3), np.uint8),
    )  # fmt: skip
    row = json.loads(json.dumps(event.row(), allow_nan=False))
    assert row["reward_image_reward"] is None
    assert row["loss"] is None
    assert row["reward_total"] == 1.5
    assert row["keep_ratio"] == 0.9
    assert (row["step"], row["timestep"], row["update"]) == (2, 500, 1)
