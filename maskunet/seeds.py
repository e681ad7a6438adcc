"""The seeds of all that is random in a picture or a training, each by its rule, all rules in one place.

A picture begins with the noise of its own seed (`DiffusionModel.noise`). What else it needs follows from that
seed, and its seed may follow from that of a run of many pictures. Hashed seeds have nothing in common, however
near the ones they come from; but a rule that hashes a seed with zeros behind gives the same as without, so candidate i of a
picture begins with the noise of prompt i of a run of that seed.

Torch's streams on the CPU know the last 32 bits of a seed. So `of_masks` gives seeds 2^24 apart the same masks, and
for one of all seeds, 16,843,009, the numbers of its noise. Another rule would give every seed other pictures.
"""

import numpy as np

PER_RUN = 100_000  # pictures of a task before they are those of the next run's seed
BITS_64 = 2**64  # torch's seeds are smaller, so what is larger begins anew


def of_masks(seed: int, index: int = 0) -> int:
    """For masks, and whatever else a method draws on the way.

    Args:
        seed: of the picture. index: of several draws from one seed, 0 to 254.
    """
    return ((seed << 8) + 1 + index) % BITS_64


def of_candidates(seed: int, count: int) -> list[int]:
    """For pictures of one prompt to choose from, each 0 to 2^32 - 1: the picture's own seed, then hashed ones."""
    return [seed, *(_hashed(seed, i) for i in range(1, count))]


def of_prompt(seed: int, index: int, image: int = 0) -> int:
    """For a prompt's picture, 0 to 2^32 - 1, hashed.

    Args:
        seed: of the run, not negative. index: the prompt's place. image: which of the prompt's pictures.
    """
    return _hashed(seed, index, image)


def of_place(seed: int, place: int) -> int:
    """For a race's further pictures of a prompt, 0 to 2^32 - 1, hashed; none is a candidate of one before.

    Args:
        seed: of the prompt's first picture, whose place is 0. place: which picture it is.
    """
    return _hashed(seed, place, 0, 2) if place else seed


def of_frames(seed: int) -> int:
    """For the noise of a video's further frames, 0 to 2^32 - 1, hashed. Args: seed: of its first frame."""
    return _hashed(seed, 0, 0, 1)


def of_case(seed: int, index: int) -> int:
    """For the picture of a task's case, counted on from run to run: seed 1 has 100,000 to 199,999."""
    return (seed * PER_RUN + index) % BITS_64


def of_sample(seed: int, number: int) -> int:
    """For the noise, timestep and dropped caption of a training's sample, 0 to 2^63 - 1, hashed."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> 1)


def of_sample_masks(draw: int) -> int:
    """For the masks of a training's sample. Args: draw: its `of_sample`."""
    return draw + 1


def of_sample_views(draw: int) -> int:
    """For the shifted views in which a reward sees a training's sample. Args: draw: its `of_sample`."""
    return draw + 2


def _hashed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
