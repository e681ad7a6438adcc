"""Random numbers from a counter: the same on every way to them, uniform, and of each other independent."""

import math

import numpy as np
import pytest
import torch

from maskunet.masks import counter_rng, mask
from maskunet.masks.counter_rng import BITS

WORD = 2**32
KEYS = [(0, 1), (1, WORD - 1), (2**31, 2**31 + 1), (123_456_789, 987_654_321)]  # start and step


def by_hand(i, start, step):
    """Number i in Python's whole numbers, which know no overflow."""
    x = (start + i * step) % WORD
    x = (x ^ x >> 16) * 0x21F0AAAD % WORD
    x = (x ^ x >> 15) * 0xD35A2D97 % WORD
    return (x ^ x >> 15) >> 32 - BITS


def stream(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("key", KEYS)
def test_a_gpu_s_way_and_the_cpu_s_give_the_numbers_computed_by_hand(key):
    n = 2**17 + 5  # more than one chunk, and no whole number of them
    torch_s, numpy_s = counter_rng.in_torch(n, *key, "cpu"), counter_rng.in_numpy(n, *key)
    assert torch_s.tolist() == numpy_s.tolist() == [by_hand(i, *key) for i in range(n)]
    assert torch_s.dtype == torch.int32 and numpy_s.dtype == np.int32


def test_a_stream_goes_on_by_as_much_whatever_it_is_asked_for():
    streams = [stream(5) for _ in range(2)]
    few, many = (counter_rng.draw(n, each) for n, each in zip((10, 4000), streams, strict=True))
    assert torch.equal(many[:10], few)
    assert torch.equal(*(each.get_state() for each in streams))
    assert not torch.equal(counter_rng.draw(10, streams[0]), few)


def test_as_numbers_between_0_and_1_they_reach_neither():
    ends = torch.tensor([0, 2**BITS - 1], dtype=torch.int32).float().add(0.5) * 2.0**-BITS
    assert ends.tolist() == [2.0**-24, 1 - 2.0**-24]


@pytest.mark.parametrize("bit", range(0, BITS - 7))
def test_every_value_of_neighboring_bits_comes_up_as_often(bit):
    n = 2**20
    counts = torch.bincount(counter_rng.draw(n, stream(bit)) >> bit & 255, minlength=256)
    statistic = float(((counts - n / 256) ** 2 / (n / 256)).sum())
    assert abs(statistic - 255) < 5 * math.sqrt(2 * 255)  # chi squared with 255 degrees of freedom


def test_neither_neighbors_nor_rows_nor_draws_nor_near_keys_are_correlated():
    n = 2**20
    shared = stream(3)
    one, two = (counter_rng.draw(n, shared).double() for _ in range(2))
    near, next_start, next_step = (
        torch.from_numpy(counter_rng.in_numpy(n, *key)).double() for key in ((7, 1), (8, 1), (7, 3))
    )
    pairs = [(one[lag:], one[:-lag]) for lag in (1, 2, 64, 320, 1280)]
    pairs += [(one, two), (near, next_start), (near, next_step)]
    for left, right in pairs:
        r = float(torch.corrcoef(torch.stack((left, right)))[0, 1])
        assert abs(r) < 5 / math.sqrt(len(left))


def test_what_is_drawn_for_a_device_is_made_there_and_nothing_crosses_over():
    values = {"a": torch.empty(3, 5, device="meta"), "b": torch.empty(2, 2, device="meta")}
    for made in (
        mask.noise_for(values, "one_sided", stream(0)),
        mask.noise_for(values, "logistic", stream(0)),
        mask.noise_for(values, "none", stream(0)),
        mask.bernoulli_masks(values, 0.1, stream(0)),
    ):
        assert {n: (each.device.type, each.shape) for n, each in made.items()} == {
            "a": ("meta", (3, 5)),
            "b": ("meta", (2, 2)),
        }
