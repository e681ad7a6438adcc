"""Random numbers that are the same on every device, made where they are needed.

A counter-based generator (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011) in SplitMix's form (Steele
et al., Fast Splittable Pseudorandom Number Generators, 2014): number i is a hash of start + i x step. torch's own
generators draw other numbers on a GPU than on a CPU. Drawn on the CPU and copied, the noise of Stable Diffusion 1.5's
49 million mask entries would take half a second of a core at every update.
"""

import numpy as np
import torch
from torch import Tensor

BITS = 23  # of a number; (number + 1/2) / 2**BITS is exact in float32 and neither 0 nor 1
# Wellons' low-bias hash of 32 bits: a shift and a factor, twice, and one more shift.
_ROUNDS = ((16, 0x21F0AAAD), (15, 0xD35A2D97))
_LAST = 15
_CHUNK = 2**16  # numbers that go through the hash within a core's cache


def draw(count: int, generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Whole numbers (count,) uniform in [0, 2**BITS), int32, on the device.

    Args:
        generator: of torch, on the CPU; it gives start and step, and so goes on by as much whatever the count.
    """
    start, step = key(generator)
    if torch.device(device).type == "cpu":
        return torch.from_numpy(in_numpy(count, start, step))
    return in_torch(count, start, step, device)


def key(generator: torch.Generator) -> tuple[int, int]:
    """A start in [0, 2**32) and an odd step in it; from the CPU's memory, so that no device is waited for."""
    start, step = torch.randint(2**32, (2,), generator=generator).tolist()
    return start, step | 1


def in_numpy(count: int, start: int, step: int) -> np.ndarray:
    """In NumPy: twice as fast on a CPU as in torch, since its shifts of unsigned numbers need no masking.

    Args:
        start: in [0, 2**32). step: an odd number in it.
    """
    numbers = np.arange(count, dtype=np.uint32)
    shifted = np.empty(min(count, _CHUNK), dtype=np.uint32)
    for at in range(0, count, _CHUNK):
        x = numbers[at : at + _CHUNK]
        other = shifted[: len(x)]
        x *= np.uint32(step)
        x += np.uint32(start)
        for places, factor in _ROUNDS:
            x ^= np.right_shift(x, np.uint32(places), out=other)
            x *= np.uint32(factor)
        x ^= np.right_shift(x, np.uint32(_LAST), out=other)
        x >>= np.uint32(32 - BITS)
    return numbers.view(np.int32)


def in_torch(count: int, start: int, step: int, device: torch.device | str) -> Tensor:
    """The same in torch, which shifts signed numbers only: the bits that come in from the left are masked out."""
    x = torch.arange(count, dtype=torch.int32, device=device).mul_(_signed(step)).add_(_signed(start))
    for places, factor in _ROUNDS:
        x.bitwise_xor_(_shifted(x, places)).mul_(_signed(factor))
    return _shifted(x.bitwise_xor_(_shifted(x, _LAST)), 32 - BITS)


def _shifted(x: Tensor, places: int) -> Tensor:
    return (x >> places).bitwise_and_(2 ** (32 - places) - 1)


def _signed(word: int) -> int:
    return (word + 2**31) % 2**32 - 2**31
