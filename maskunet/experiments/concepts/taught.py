"""A LoRA that is taught to forget a concept, the rival of its mask: concept ablation (Kumari et al., ICCV 2023), on pictures.

It learns the base model's own pictures of the rivals under the prompts with the concept, and as many pictures of the retain
set under their own prompts.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from maskunet.experiments.concepts.concept import Concept
from maskunet.methods import SPECS as METHODS
from maskunet.methods.base.batches import together
from maskunet.models.base import DiffusionModel
from maskunet.plugins import chosen
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards
from maskunet.training import checkpoint, loop
from maskunet.training.data import Pair
from maskunet.training.recipes import SPECS as RECIPES

PICTURES = 48  # of the rivals, and of the retain set
BATCH = 8  # pictures that share U-Net calls, and a step of the training
STEPS = 200  # of it: more than the 100 that erased hardly anything of training prompts


class Taught:
    """The pictures with the captions under which they are learned, a data set (`maskunet.training.data.Pairs`)."""

    notes = ()

    def __init__(self, captions: Sequence[str], images: np.ndarray):
        self._captions, self._images = captions, images

    def __len__(self) -> int:
        return len(self._captions)

    def __call__(self, index: int, draw: int) -> Pair:
        """See `maskunet.training.data.Pairs`; nothing is random."""
        return Pair(self._captions[index], image=self._images[index])


def lessons(model: DiffusionModel, concept: Concept, count: int, steps: int) -> Taught:
    """The base model's pictures, with the captions under which they are to be learned.

    Args:
        count: pictures of the rivals, and as many of the retain set. steps: of each picture.
    """
    showing, staying = concept.showing(count, 0), concept.staying(count, 0)
    asked = [(each.prompt, each.rivals[0], each.seed) for each in showing]
    asked += [(each.prompt, each.prompt, each.seed) for each in staying]
    request = Request(
        prompt="-", model=model.name, method="plain", steps=steps, guidance=model.guidance, previews=False,
        statistics=False,
    )  # fmt: skip
    requests = [replace(request, prompt=shown, seed=seed) for _, shown, seed in asked]
    spec, images = METHODS["plain"], {}
    for start in range(0, len(requests), BATCH):
        some = requests[start : start + BATCH]
        for number, event in together(spec, model, WeightedRewards({}), some, spec.settings("", {})):
            if event.final:
                images[start + number] = event.image
    return Taught([told for told, _, _ in asked], np.stack([images[i] for i in range(len(asked))]))


def teach(model: DiffusionModel, concept: Concept, folder: Path, *, steps: int) -> Iterator[str]:
    """Train the LoRA of a concept, or what is left of it; tells in a line how far it is. Closing it saves and stops.

    Args:
        steps: of the pictures that it learns.
    """
    recipe, how = RECIPES["lora"], {"steps": STEPS, "every": STEPS, "batch": BATCH, "micro_batch": BATCH}
    settings = chosen(recipe.presets, recipe.name, "tabletop", how)
    pairs = lessons(model, concept, PICTURES, steps)
    about, begun = {"data": f"pictures without {concept.name}"}, (folder / checkpoint.STATE).exists()
    with closing(loop.train(model, recipe, settings, pairs, folder, about=about, resume=begun)) as events:
        for event in events:
            yield f"LoRA without {concept.name}: step {event.step} of {event.steps}"


def finished(folder: Path) -> bool:
    """Whether a LoRA was taught to the end, not stopped half way."""
    try:
        state = torch.load(folder / checkpoint.STATE, weights_only=True, map_location="cpu")
    except Exception:  # none, which then begins, or a damaged one, which `teach` refuses in a sentence
        return False
    return state["step"] >= STEPS
