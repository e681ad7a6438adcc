"""Mask mathematics against closed forms."""

import math

import numpy as np
import pytest
import torch

from maskunet import mask


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4)])
def test_straight_through_is_hard_forward_and_soft_backward_for_any_rank(shape):
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    made = mask.straight_through(logits, tau=0.7)
    made.sum().backward()
    soft = torch.sigmoid(logits.detach() / 0.7)
    assert torch.equal(made.detach(), (soft > 0.5).float())
    torch.testing.assert_close(logits.grad, soft * (1 - soft) / 0.7)


@pytest.mark.parametrize("kind", ["one_sided", "logistic"])
@pytest.mark.parametrize("logit", [-1.0, 0.0, 1.0])
def test_keep_probability_matches_the_samples(kind, logit):
    n = 200_000
    logits = torch.full((n,), logit)
    kept = mask.straight_through(logits, mask.noise_like(logits, kind, torch.Generator().manual_seed(2)))
    p = float(mask.keep_probability(logits[:1], kind))
    assert abs(float(kept.mean()) - p) < 5 * math.sqrt(p * (1 - p) / n)


def test_the_published_noise_removes_6_6_percent_at_the_start():
    assert float(1 - mask.keep_probability(torch.tensor(1.0), "one_sided")) == pytest.approx(
        math.exp(-math.e)
    )


def test_the_same_seed_draws_the_same_noise_and_another_kind_is_refused():
    logits = torch.zeros(50)
    first, again = (mask.noise_like(logits, "one_sided", torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    with pytest.raises(ValueError, match="one_sided, logistic, none"):
        mask.noise_like(logits, "pink", torch.Generator())


def test_bernoulli_removes_the_share_it_was_asked_to():
    made = mask.bernoulli((400, 400), 0.3, torch.Generator().manual_seed(4))
    assert set(made.unique().tolist()) == {0.0, 1.0}
    assert abs(float(made.mean()) - 0.7) < 5 * math.sqrt(0.21 / 160_000)
    with pytest.raises(ValueError, match="0 to 1"):
        mask.bernoulli((2, 2), 1.5, torch.Generator())


def test_keep_ratio_is_the_mean_of_each_mask():
    masks = {"a": torch.ones(4, 4), "b": torch.tensor([[1.0, 0.0], [0.0, 0.0]])}
    assert mask.keep_ratio(masks) == {"a": 1.0, "b": 0.25}


@pytest.mark.parametrize("shape", [(8, 8), (3, 7), (1, 1)])
def test_packing_to_bits_and_back_loses_nothing(shape):
    made = mask.bernoulli(shape, 0.5, torch.Generator().manual_seed(5))
    bits = mask.pack(made)
    assert bits.nbytes == -(-made.numel() // 8)
    assert torch.equal(mask.unpack(bits, shape), made)


def test_bits_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="cannot hold"):
        mask.unpack(np.zeros(3, np.uint8), (8, 8))
