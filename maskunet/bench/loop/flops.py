"""How many operations an iteration takes, phase by phase, counted by PyTorch as the loop runs."""

from collections.abc import Iterator
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from maskunet.bench.loop import reference
from maskunet.bench.loop.clock import Clock, clocked
from maskunet.bench.loop.full_size import stable_diffusion
from maskunet.bench.loop.size import PROMPT, Size
from maskunet.bench.loop.update import logits_of, update
from maskunet.bench.loop.variants import Variant
from maskunet.models.base import DiffusionModel
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards

TERA = 1e12


def of_variant(size: Size, variant: Variant, model: DiffusionModel, rewards: WeightedRewards) -> dict[str, float]:
    """Operations of a step's second update, in 10^12, by phase; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        clock = Clock(counter.get_total_flops)
        events = size.short().run(variant, *clocked(model, rewards, clock), seed=0)
        for event in events:
            clock.lap("backward")
            clock.turn()
            if event.update == 1:
                break
        events.close()
    return {phase: count / TERA for phase, count in clock.iterations[-1].items()}


def at_512_pixels() -> Iterator[dict[str, float | str]]:
    """The same of Stable Diffusion 1.5 with both published rewards, on tensors that have only shapes.

    From the published loop's shape to ours, one saving after the other. The reference is its own code; what
    ours computes is written out, since its loop reads a number at every update, and these tensors have none.
    """
    nowhere = torch.device("meta")
    looks = {
        "reference": partial(_reference, thaw=True),
        "frozen": partial(_reference, thaw=False),
        "each masked layer and the prompt once": partial(update, anew=True),
        "exact: the blocks before the masks once per timestep": update,
        "tiny decoder for the rewards": partial(update, tiny=True),
    }
    for name, look in looks.items():
        with FlopCounterMode(display=False) as counter:
            clock = Clock(counter.get_total_flops)
            look(*clocked(*stable_diffusion(512, nowhere, torch.float32), clock))
            clock.lap("backward")
        clock.turn()
        found = {phase: count / TERA for phase, count in clock.iterations[-1].items()}
        yield {"name": name, "sum": sum(found.values()), **found}


def _reference(model: DiffusionModel, rewards: WeightedRewards, thaw: bool) -> None:
    request, generator = Request(prompt=PROMPT), torch.Generator().manual_seed(0)
    logits = logits_of(model)
    networks = (model.unet, model.vae, model.text_encoder) if thaw else ()
    with reference.thawed(networks, keep_gradients=False):
        loss, *_ = reference.look(model, rewards, request, 0, 15, model.noise(0), logits, generator)
        loss.backward()
