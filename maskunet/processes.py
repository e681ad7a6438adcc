"""Which of several processes this one is, as torchrun and accelerate launch tell it."""

import os


def place() -> tuple[int, int]:
    """This process's rank and how many there are, from RANK and WORLD_SIZE; 0 and 1 where it is alone.

    Raises:
        ValueError: the two do not fit together.
    """
    rank, world = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
        raise ValueError(
            f"RANK is “{rank}” and WORLD_SIZE “{world}”; the rank must be a number from 0 to one less than the "
            "size. Start with torchrun or accelerate launch, or unset both."
        )
    return int(rank), int(world)


def device_of(given: str | None) -> str | None:
    """The device for this process: with several, each has a GPU of its own unless another kind is given."""
    import torch

    rank = os.environ.get("LOCAL_RANK")
    alone = rank is None or given not in (None, "cuda") or not torch.cuda.is_available()
    return given if alone else f"cuda:{rank}"
