"""Class pictures: what the base model makes of a class's prompt, so that a training on one subject keeps the class.

Prior preservation (DreamBooth, Ruiz et al. 2023, Eq. 2) with the model's own pictures. They lie beside the trainings
under a name that follows from all that made them: pictures of another model, prompt or sampler are never taken.
"""

import json
from collections.abc import Generator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskunet import seeds
from maskunet.models.base import DiffusionModel
from maskunet.records.training import Preparing
from maskunet.training import shelves
from maskunet.training.data import Pair
from maskunet.training.sampling import GuidedSampling

LATENTS = "latents"  # the entry of a file
WHAT = "class pictures"


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """How class pictures are made.

    Attributes:
        prompt: of the class. count: how many. seed: of their noise.
        steps: of a sampling. guidance: its scale; 0 for the model's own.
    """

    prompt: str
    count: int
    seed: int
    steps: int
    guidance: float = 0.0


@dataclass(frozen=True, slots=True)
class ClassPictures:
    """Pictures of one prompt as latents; see `maskunet.training.data.Pairs`.

    Attributes:
        latents: (N, C, h, w) float16, scaled.
    """

    prompt: str
    latents: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.latents)

    def __call__(self, index: int, draw: int) -> Pair:
        """The same for every draw."""
        return Pair(self.prompt, latents=self.latents[index].astype(np.float32))


def prepare(model: DiffusionModel, how: Made, place: Path) -> Generator[Preparing, None, ClassPictures]:
    """Make the class pictures that are not there yet, and tell how far that is.

    A stop loses no more than the few pictures in hand; asked for more, those that are there stay. Made while the model
    is as it came.

    Args:
        place: folder that trainings share.

    Raises:
        ValueError: pictures that are there are damaged.
    """
    sampling = GuidedSampling(model, how.steps, how.guidance)
    count = -(-how.count // shelves.SHELF) * shelves.SHELF  # whole files, whoever asks for how many
    files = shelves.files(place / key(sampling, how), count)
    yield from shelves.fill(files, count, lambda numbers: _made(sampling, how, numbers), WHAT)
    latents = torch.cat([shelves.read(file)[LATENTS] for file in files])[: how.count].numpy()
    yield Preparing(done=how.count, total=how.count, what=WHAT)
    return ClassPictures(how.prompt, latents)


def key(sampling: GuidedSampling, how: Made) -> str:
    """A name that changes with whatever the pictures depend on, and not with how many are asked for."""
    made_by = {**sampling.made_by, "prompt": how.prompt, "seed": how.seed}
    return f"class-{sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]}"


@torch.no_grad()
def _made(sampling: GuidedSampling, how: Made, numbers: range) -> dict[str, Tensor]:
    """The latents of these pictures, (B, C, h, w) float16."""
    noise = torch.cat([sampling.model.noise(seeds.of_prompt(how.seed, number)) for number in numbers])
    latents = sampling.clean(sampling.base, noise, sampling.guided([how.prompt] * len(numbers)))
    return {LATENTS: latents.half().cpu()}
