"""The rules of the seeds: the numbers they have always given, and where their streams meet and where they do not."""

from itertools import pairwise

import pytest
import torch

from maskunet import seeds
from maskunet.records import MAX_SEED

# Seeds as people type them, tasks count them, prompts hash them, and the last ones.
CASES = [seeds.of_case(run, i) for run in range(1, 21) for i in range(0, 100_000, 997)]
PROMPTS = [seeds.of_prompt(run, i) for run in range(3) for i in range(500)]
REQUESTS = sorted({*range(5000), *CASES, *PROMPTS, *range(MAX_SEED - 100, MAX_SEED + 1)})
AT_MOST = 64  # pictures that a method may choose from
ITSELF = 16_843_009  # of all seeds, the one whose masks are drawn from the numbers of its noise


def stream(seed):
    """What tells one of torch's streams from another."""
    return seed % 2**32


def first(seed):
    return torch.randn(8, generator=torch.Generator().manual_seed(seed)).tolist()


def test_torch_knows_the_last_32_bits_of_a_seed():
    for seed in (0, 1, 7, 2**31, 2**32 - 1):
        assert first(seed) == first(seed + 2**32) == first(seed + 2**62)
    numbers = [first(seed) for seed in range(200)]
    assert len({tuple(n) for n in numbers}) == 200


def test_the_rules_give_the_numbers_they_have_always_given():
    assert [seeds.of_masks(seed) for seed in (0, 7, 2**32 - 1)] == [1, 1793, 1099511627521]
    assert seeds.of_masks(7, 3) == 1796
    assert seeds.of_candidates(7, 4) == [7, 369571992, 1009178997, 3466196061]
    assert seeds.of_prompt(0, 0) == 2968811710  # NumPy promises these numbers for all time
    assert seeds.of_prompt(3, 1, 2) == 1620210449
    assert [seeds.of_case(1, 0), seeds.of_case(2, 5)] == [100_000, 200_005]
    draw = seeds.of_sample(5, 17)
    assert draw == 8749419124216858409
    assert (seeds.of_sample_masks(draw), seeds.of_sample_views(draw)) == (draw + 1, draw + 2)


def test_every_rule_gives_seeds_that_torch_takes_for_every_seed_that_may_be_given():
    for seed in (90_210, 2**32, 2**56, MAX_SEED):
        rules = [seeds.of_masks(seed, 254), *seeds.of_candidates(seed, 3), seeds.of_prompt(seed, 9, 3)]
        rules += [seeds.of_case(seed, 7), seeds.of_sample(seed, 5)]
        assert all(0 <= one <= MAX_SEED and first(one) for one in rules)
    assert seeds.of_case(90_210, 0) == 9_021_000_000
    assert first(2**64 - 1) == first(2**32 - 1)


# Where they do not meet


def test_within_a_request_noise_masks_and_candidates_have_streams_of_their_own():
    for seed in REQUESTS:
        masks = [seeds.of_masks(seed, index) for index in range(AT_MOST)]
        assert stream(seed) not in {stream(one) for one in masks}, seed
    for seed in REQUESTS[::50]:
        noises = seeds.of_candidates(seed, AT_MOST)
        masks = [seeds.of_masks(one) for one in noises]
        assert len({stream(one) for one in (*noises, *masks)}) == 2 * AT_MOST, seed


def test_masks_of_different_requests_have_different_streams():
    near = [seed for seed in REQUESTS if seed < 2**24]
    masks = [seeds.of_masks(seed, index) for seed in near for index in range(AT_MOST)]
    assert len({stream(one) for one in masks}) == len(masks)


def test_pictures_of_prompts_and_candidates_have_noises_of_their_own():
    prompts = [seeds.of_prompt(run, i, k) for run in (0, 1) for i in range(200) for k in range(4)]
    assert len(set(prompts)) == len(prompts) and min(prompts) >= 0 and max(prompts) <= MAX_SEED
    drawn = [seed for one in range(50) for seed in seeds.of_candidates(one, 16)]
    assert len(set(drawn)) == len(drawn)
    assert all(0 <= seed <= MAX_SEED for seed in seeds.of_candidates(MAX_SEED, 16))
    cases = [seeds.of_case(run, i) for run in range(20) for i in range(0, seeds.PER_RUN, 499)]
    assert len(set(cases)) == len(cases)


def test_samples_of_a_training_share_no_stream_among_noise_masks_and_views():
    draws = [seeds.of_sample(0, number) for number in range(10_000)]
    every = [rule(draw) for draw in draws for rule in (int, seeds.of_sample_masks, seeds.of_sample_views)]
    assert len({stream(one) for one in every}) == len(every)
    assert min(draws) >= 0 and max(draws) + 2 < 2**63


# Where they meet, by design


def test_the_first_candidate_is_the_plain_picture_and_more_of_them_begin_as_fewer():
    assert seeds.of_candidates(7, 1) == [7]
    for less, more in pairwise(seeds.of_candidates(7, n) for n in (1, 2, 4, 16)):
        assert more[: len(less)] == less


def test_the_first_masks_of_several_are_those_of_a_single_draw():
    assert seeds.of_masks(7, 0) == seeds.of_masks(7)


def test_runs_of_more_cases_than_there_is_room_for_reach_into_the_next_ones():
    assert seeds.of_case(1, seeds.PER_RUN) == seeds.of_case(2, 0)


def test_masks_repeat_after_16_million_seeds():
    assert stream(seeds.of_masks(7)) == stream(seeds.of_masks(7 + 2**24))
    assert first(seeds.of_masks(7)) == first(seeds.of_masks(7 + 2**24))


def test_masks_use_the_numbers_of_other_requests_noises():
    assert stream(seeds.of_masks(0)) == stream(1) and stream(seeds.of_masks(3, 5)) == stream(774)


@pytest.mark.parametrize("index", range(4))
def test_one_seed_of_all_draws_its_masks_from_the_numbers_of_its_noise(index):
    """Where 255 s = -(1 + index) modulo 2^32, which has one solution, as 255 is odd."""
    seed = -(1 + index) * pow(255, -1, 2**32) % 2**32
    assert stream(seeds.of_masks(seed, index)) == seed and seed not in REQUESTS
    assert index or seed == ITSELF
