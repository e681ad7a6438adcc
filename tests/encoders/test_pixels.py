"""Bytes become pixels in [0, 1] in one way, bit for bit that of every place that had its own."""

import numpy as np
import pytest
import torch

from maskunet.encoders.pixels import from_uint8, normalized, standardized

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)


def test_bytes_become_pixels_channels_first_with_the_strides_that_networks_are_used_to():
    found, expected = from_uint8(PICTURES), torch.from_numpy(PICTURES).permute(0, 3, 1, 2).float() / 255
    assert found.dtype == torch.float32 and torch.equal(found, expected)
    assert found.stride() == expected.stride()
    alone, expected = (
        from_uint8(PICTURES[0]),
        torch.from_numpy(PICTURES[0]).permute(2, 0, 1)[None].float() / 255,
    )
    assert torch.equal(alone, expected) and alone.stride() == expected.stride()


def test_all_bytes_reach_both_ends():
    every = from_uint8(np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2))
    assert every.min() == 0 and every.max() == 1
    assert torch.equal((every * 255).round(), torch.arange(256.0).expand(1, 3, 1, 256))


def test_pictures_that_may_not_be_written_to_are_taken_as_they_are(recwarn):
    fixed = PICTURES.copy()
    fixed.flags.writeable = False
    from_uint8(fixed)
    assert not recwarn.list


def test_mirrored_pictures_are_taken_as_they_look():
    assert torch.equal(from_uint8(PICTURES[0, :, ::-1]), from_uint8(PICTURES[0]).flip(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_doubled_less_one_they_are_what_an_autoencoder_was_trained_on(dtype):
    every = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    expected = torch.from_numpy(every).permute(2, 0, 1)[None].to(dtype) / 127.5 - 1
    assert torch.equal(from_uint8(every).to(dtype) * 2 - 1, expected)


def test_gradients_pass_through_also_when_a_judge_without_them_was_first():
    from maskunet.encoders import pixels

    pixels._clip_mean_std.cache_clear()
    with torch.inference_mode():
        standardized(torch.zeros(1, 3, 8, 8))
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    normalized(image, 8).sum().backward()
    assert torch.isfinite(image.grad).all() and image.grad.abs().sum() > 0


def test_mirrored_pictures_are_taken_too():
    mirrored = PICTURES[:, :, ::-1]
    assert torch.equal(from_uint8(mirrored), from_uint8(mirrored.copy()))
    assert torch.equal(from_uint8(mirrored[0]), from_uint8(mirrored)[:1])
