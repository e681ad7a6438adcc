"""What is read of a checkpoint is looked through for what is no number, at little cost."""

import time

import pytest
import torch

from maskunet.encoders.reading import no_number


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_value_that_is_no_number_is_found_wherever_it_stands(dtype, value):
    whole = torch.linspace(-3, 3, 203).to(dtype)
    assert no_number([("a", whole), ("b", whole[:0]), ("c", torch.arange(3)), ("d", whole.reshape(7, 29).T)]) == ""
    for place in (0, 1, 7, 8, 100, 201, 202):
        broken = whole.clone()
        broken[place] = value
        assert no_number([("a", whole), ("b", broken), ("c", broken)]) == "b"
        assert no_number([("d", broken.reshape(7, 29).T)]) == "d"


def test_the_largest_numbers_are_numbers():
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert no_number([("a", torch.full((100,), torch.finfo(dtype).max, dtype=dtype))]) == ""


def test_looking_takes_a_fraction_of_what_isfinite_takes():
    weight = torch.zeros(4_000_000, dtype=torch.float16)

    def seconds(work):
        began = time.process_time()
        work()
        return time.process_time() - began

    ours = min(seconds(lambda: no_number([("a", weight)])) for _ in range(3))
    theirs = min(seconds(lambda: weight.isfinite().all()) for _ in range(3))
    assert ours < theirs
