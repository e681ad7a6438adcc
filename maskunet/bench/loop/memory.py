"""What a loop needs at most: the device's memory, or on a CPU that of a process which does nothing else."""

import gc
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from maskunet.bench.loop.size import Size, load
from maskunet.bench.loop.variants import VARIANTS, Variant
from maskunet.models.base import DiffusionModel
from maskunet.rewards.base import WeightedRewards

KIBIBYTE = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


def of_a_gpu(size: Size, variant: Variant, model: DiffusionModel, rewards: WeightedRewards) -> int:
    """Bytes of all tensors at the peak of a step of three updates, the networks included."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(model.device)
    for _ in size.short().run(variant, model, rewards, seed=0):
        pass
    return torch.cuda.max_memory_allocated(model.device)


def of_a_process(size: Size, name: str, dtype: torch.dtype) -> int:
    """Resident bytes of a process that makes a step of two updates on the CPU.

    Args:
        name: of the variant.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_of_this_process, size, name, dtype).result()


def _of_this_process(size: Size, name: str, dtype: torch.dtype) -> int:
    model, rewards = load(size, torch.device("cpu"), dtype)
    (variant,) = (each for each in VARIANTS if each.name == name)
    for _ in size.short(updates=2).run(variant, model, rewards, seed=0):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE
