"""Mask mathematics against closed forms."""

import math

import numpy as np
import pytest
import torch

from maskunet.masks import mask


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4)])
def test_straight_through_is_hard_forward_and_soft_backward_for_any_rank(shape):
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    made = mask.straight_through(logits, tau=0.7)
    made.sum().backward()
    soft = torch.sigmoid(logits.detach() / 0.7)
    assert torch.equal(made.detach(), (soft > 0.5).float())
    torch.testing.assert_close(logits.grad, soft * (1 - soft) / 0.7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.9])
def test_a_mask_with_a_gradient_holds_nothing_but_zeros_and_ones(threshold, dtype):
    logits = (3 * torch.randn(10_000, generator=torch.Generator().manual_seed(1))).to(dtype)
    hard = mask.straight_through(logits, threshold=threshold)
    assert torch.equal(hard, (torch.sigmoid(logits) > threshold).to(dtype))
    assert torch.equal(mask.straight_through(logits.requires_grad_(), threshold=threshold), hard)


def test_the_gradient_is_taken_where_the_noise_moved_the_logit():
    logits = torch.zeros(3, requires_grad=True)
    noise = torch.tensor([-4.0, 0.5, 2.0])
    made = mask.straight_through(logits, noise)
    made.sum().backward()
    assert made.tolist() == [0.0, 1.0, 1.0]
    torch.testing.assert_close(logits.grad, torch.sigmoid(noise) * torch.sigmoid(-noise))


@pytest.mark.parametrize("kind", ["one_sided", "logistic"])
@pytest.mark.parametrize("logit", [-2.0, -1.0, 0.0, 1.0])
def test_weights_are_kept_as_often_as_the_closed_form_says(kind, logit):
    n = 200_000
    logits = torch.full((n,), logit)
    kept = mask.straight_through(logits, mask.noise_like(logits, kind, torch.Generator().manual_seed(2)))
    p = 1 - math.exp(-math.exp(logit)) if kind == "one_sided" else 1 / (1 + math.exp(-logit))
    assert float(mask.keep_probability(logits[:1], kind)) == pytest.approx(p, rel=1e-5)
    assert abs(float(kept.mean()) - p) < 5 * math.sqrt(p * (1 - p) / n)


def test_without_noise_the_sign_of_the_logit_decides():
    logits = torch.tensor([-1.0, -1e-3, 1e-3, 1.0])
    noise = mask.noise_like(logits, "none", torch.Generator())
    kept = mask.straight_through(logits, noise)
    assert kept.tolist() == mask.keep_probability(logits, "none").tolist() == [0.0, 0.0, 1.0, 1.0]


def test_the_published_noise_removes_6_6_percent_at_the_start():
    assert float(1 - mask.keep_probability(torch.tensor(1.0), "one_sided")) == pytest.approx(math.exp(-math.e))


@pytest.mark.parametrize("kind", ["one_sided", "logistic"])
def test_the_same_seed_draws_the_same_noise_whatever_else_is_drawn(kind):
    logits = torch.zeros(50)

    def draw(seed):
        return mask.noise_like(logits, kind, torch.Generator().manual_seed(seed))

    with torch.random.fork_rng():
        before = torch.get_rng_state()
        first = draw(3)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(1)
        assert torch.equal(draw(3), first)
    assert not torch.equal(draw(4), first)
    assert torch.equal(mask.noise_like(logits.bfloat16(), kind, torch.Generator().manual_seed(3)), first.bfloat16())


@pytest.mark.parametrize("share", [0.001, 0.1, 1.0])
def test_a_removal_takes_the_share_of_all_weights_whose_gradients_promise_the_most(share):
    stream = torch.Generator().manual_seed(2)
    logits = [torch.full(shape, 0.7, requires_grad=True) for shape in ((20, 30), (40, 10))]
    for value in logits:
        value.grad = torch.randn(value.shape, generator=stream)
    gradients = torch.cat([value.grad.flatten() for value in logits])
    removal = mask.Removal(logits, share)
    removal.step()
    gone = torch.cat([mask.straight_through(value.detach()).flatten() for value in logits]) == 0
    assert int(gone.sum()) == min(round(1000 * share), int((gradients > 0).sum()))
    assert gradients[gone].min() >= gradients[~gone].max()
    assert {round(number, 3) for value in logits for number in value.unique().tolist()} <= {0.7, -1.0}
    removal.zero_grad()
    assert all(value.grad is None for value in logits)


def test_a_removal_lowers_a_linear_loss_by_what_it_promised():
    weights = torch.tensor([3.0, -2.0, 1.0, 0.5])
    logits = torch.ones(4, requires_grad=True)
    (mask.straight_through(logits) @ weights).backward()
    mask.Removal([logits], 0.25).step()
    assert mask.straight_through(logits.detach()).tolist() == [0.0, 1.0, 1.0, 1.0]  # 3 less


@pytest.mark.parametrize(("gradients", "left"), [([0.0] * 4, 4), ([2.0, 0.0, 0.0, -1.0], 3), ([-1.0] * 4, 4)])
def test_a_removal_takes_nothing_that_promises_nothing(gradients, left):
    logits = torch.ones(4, requires_grad=True)
    logits.grad = torch.tensor(gradients)
    mask.Removal([logits], 0.5).step()
    assert int(mask.straight_through(logits.detach()).sum()) == left


def test_a_second_removal_takes_as_many_of_those_that_are_left():
    gradient = torch.randn(1000, generator=torch.Generator().manual_seed(2))
    logits = torch.ones(1000, requires_grad=True)
    removal = mask.Removal([logits], 0.1)
    for _ in range(2):
        logits.grad = gradient.clone()
        removal.step()
    gone = mask.straight_through(logits.detach()) == 0
    assert torch.equal(gone, gradient >= gradient.sort().values[-200])


def test_a_removal_takes_no_more_where_gradients_are_equal():
    logits = [torch.ones(shape, requires_grad=True) for shape in ((4, 5), (30,))]
    for value in logits:
        value.grad = torch.ones(value.shape)
    mask.Removal(logits, 0.1).step()
    assert sum(int((value < 0).sum()) for value in logits) == 5


def test_an_unknown_noise_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="“pink”.*one_sided, logistic, none"):
        mask.noise_like(torch.zeros(2), "pink", torch.Generator())


def test_bernoulli_removes_the_share_it_was_asked_to():
    made = mask.bernoulli((400, 400), 0.3, torch.Generator().manual_seed(4))
    assert set(made.unique().tolist()) == {0.0, 1.0}
    assert abs(float(made.mean()) - 0.7) < 5 * math.sqrt(0.21 / 160_000)
    assert not mask.bernoulli((9, 9), 1.0, torch.Generator()).any()
    assert mask.bernoulli((9, 9), 0.0, torch.Generator()).all()


def test_masks_and_noise_for_all_sites_are_one_draw_in_their_order():
    values = {"a": torch.zeros(3, 5, dtype=torch.float64), "b": torch.zeros(64, 32), "c": torch.zeros(1, 7)}
    count = sum(value.numel() for value in values.values())
    masks = mask.bernoulli_masks(values, 0.3, torch.Generator().manual_seed(6))
    noise = mask.noise_for(values, "logistic", torch.Generator().manual_seed(6))
    flat = torch.zeros(count, dtype=torch.float64)
    for made, drawn in (
        (masks, mask.bernoulli((count,), 0.3, torch.Generator().manual_seed(6)).double()),
        (noise, mask.noise_like(flat, "logistic", torch.Generator().manual_seed(6))),
    ):
        assert {name: each.shape for name, each in made.items()} == {n: v.shape for n, v in values.items()}
        assert torch.equal(torch.cat([each.flatten() for each in made.values()]), drawn)


@pytest.mark.parametrize("removed", [-0.1, 1.5, math.nan])
def test_a_removed_ratio_outside_0_to_1_is_refused(removed):
    with pytest.raises(ValueError, match="0 to 1"):
        mask.bernoulli((2, 2), removed, torch.Generator())


# 999 values, evenly apart, in no order: a share of them is a share of that stretch. They are not quite
# symmetric, so that no two are of the same magnitude.
EVEN = 0.0015 + torch.linspace(-3, 3, 999)[torch.randperm(999, generator=torch.Generator().manual_seed(6))]
EVEN = EVEN.view(27, 37)


@pytest.mark.parametrize("scale", [0.02, 1.0, 50.0])
@pytest.mark.parametrize(("center", "width"), [(0.0, 0.5), (1.0, 0.27), (-1.5, 0.1), (9.0, 1.0)])
def test_a_window_removes_what_lies_in_it_in_units_of_the_weights_own_spread(scale, center, width):
    std = float(EVEN.std())
    low, high = (center - width / 2) * std, (center + width / 2) * std
    made = mask.window(scale * EVEN, center, width)
    assert torch.equal(made, 1 - ((low <= EVEN) & (high > EVEN)).float())


def test_a_window_is_closed_below_and_open_above():
    weight = torch.tensor([[-1.0, 0.0, 1.0, -1.0, 1.0]])  # of standard deviation 1
    assert mask.window(weight, 0.0, 2.0).tolist() == [[0.0, 0.0, 1.0, 0.0, 1.0]]
    assert mask.window(weight, 0.0, 0.0).all()


def test_a_window_of_a_negative_width_is_refused():
    for width in (-0.1, math.nan):
        with pytest.raises(ValueError, match="0 or more"):
            mask.window(EVEN, 0.0, width)


@pytest.mark.parametrize("removed", [0.0, 0.005, 0.066, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("center", [0.0, 1.0, -4.0])
def test_a_window_is_as_wide_as_its_share_of_all_sites_weights_needs(center, removed):
    sites = [EVEN, 7 * EVEN.flatten()[:500].view(20, 25)]
    width = mask.window_width(sites, center, removed)
    gone = sum(int((mask.window(site, center, width) == 0).sum()) for site in sites)
    assert gone == round(removed * 1499)
    assert width == 0.0 if removed == 0 else width > 0


def test_around_the_middle_of_even_values_the_width_is_the_share_of_the_whole():
    width = mask.window_width([EVEN], 0.0, 0.25)
    assert width * float(EVEN.std()) == pytest.approx(0.25 * 6, abs=6 / 998)


def test_magnitude_removes_the_share_of_the_smallest_it_was_asked_to():
    ratios = [0.2, 0.0, 0.066, 1.0, 0.2]
    limits = mask.magnitude_limits(0.1 * EVEN, ratios)
    assert limits[0] == limits[4]
    for ratio, limit in zip(ratios, limits, strict=True):
        made = mask.magnitude(0.1 * EVEN, limit)
        assert int((made == 0).sum()) == round(ratio * 999)
        if 0 < ratio < 1:
            assert EVEN[made == 0].abs().max() < EVEN[made == 1].abs().min()
            assert float(limit) == pytest.approx(0.1 * 3 * ratio, abs=0.1 * 6 / 998)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_masks_by_value_keep_the_weights_type_and_their_ratio(dtype):
    weight = torch.randn(300, 300, generator=torch.Generator().manual_seed(7)).to(dtype)
    by_size = mask.magnitude(weight, mask.magnitude_limits(weight, [0.1])[0])
    by_window = mask.window(weight, 1.0, mask.window_width([weight], 1.0, 0.1))
    for made in (by_size, by_window):
        assert made.dtype == dtype
        assert 1 - float(made.float().mean()) == pytest.approx(0.1, abs=0.004)  # equal values go together


def test_weights_of_equal_magnitude_stay_together():
    weight = torch.tensor([[1.0, -1.0, 1.0, 3.0]])
    assert mask.magnitude(weight, mask.magnitude_limits(weight, [0.25])[0]).all()
    assert mask.magnitude(weight, mask.magnitude_limits(weight, [0.75])[0]).tolist() == [[0.0, 0.0, 0.0, 1.0]]


@pytest.mark.parametrize("removed", [-0.1, 1.5, math.nan])
def test_shares_by_value_outside_0_to_1_are_refused(removed):
    with pytest.raises(ValueError, match="0 to 1"):
        mask.magnitude_limits(EVEN, [0.1, removed])
    with pytest.raises(ValueError, match="0 to 1"):
        mask.window_width([EVEN], 0.0, removed)


def test_keep_ratio_is_the_mean_of_each_mask():
    masks = {"b": torch.ones(4, 4, requires_grad=True), "a": torch.tensor([[1.0, 0.0], [0.0, 0.0]])}
    assert mask.keep_ratio(masks) == {"b": 1.0, "a": 0.25}
    per_sample = torch.stack((torch.ones(2, 2), torch.zeros(2, 2))).bfloat16()
    assert mask.keep_ratio({"a": per_sample}) == {"a": 0.5}


@pytest.mark.parametrize("shape", [(8, 8), (3, 7), (1, 1), (2, 3, 5)])
def test_packing_to_bits_and_back_loses_nothing(shape):
    made = mask.bernoulli(shape, 0.5, torch.Generator().manual_seed(5))
    bits = mask.pack(made.requires_grad_())
    assert bits.dtype == np.uint8
    assert bits.nbytes == -(-made.numel() // 8)
    again = mask.unpack(bits, shape)
    assert again.dtype == torch.float32
    assert torch.equal(again, made)


def test_the_first_weight_is_the_highest_bit():
    assert mask.pack(torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 1, 1]])).tolist() == [0b10000001, 0b10000000]


@pytest.mark.parametrize("given", [7, 9])
def test_bits_of_another_shape_are_refused(given):
    with pytest.raises(ValueError, match=rf"{given} bytes cannot hold .*\(8, 8\).* 8"):
        mask.unpack(np.zeros(given, np.uint8), (8, 8))
