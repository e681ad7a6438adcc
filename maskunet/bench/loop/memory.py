"""What a loop needs at most: the device's memory, or on a CPU that of a process which does nothing else."""

import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from maskunet.bench.loop.size import Size, load
from maskunet.bench.loop.variants import VARIANTS

KIBIBYTE = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


def peak(size: Size, name: str, device: torch.device, dtype: torch.dtype) -> int:
    """Bytes at the peak of an update of a variant, the networks included.

    Args:
        name: of the variant.
    """
    if device.type == "cuda":
        return _peak(size, name, device, dtype)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_peak, size, name, device, dtype).result()


def _peak(size: Size, name: str, device: torch.device, dtype: torch.dtype) -> int:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    model, rewards = load(size, device, dtype)
    (variant,) = (each for each in VARIANTS if each.name == name)
    for _ in size.short(updates=2).run(variant, model, rewards, seed=0):
        pass
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE
