"""How many operations an iteration takes, phase by phase, counted by PyTorch as the loop runs."""

from collections.abc import Iterator

import torch
from torch.utils.flop_counter import FlopCounterMode

from maskunet.bench.loop import reference
from maskunet.bench.loop.clock import Clock, clocked
from maskunet.bench.loop.full_size import stable_diffusion
from maskunet.bench.loop.size import PROMPT, Size
from maskunet.bench.loop.variants import Variant
from maskunet.guidance import classifier_free
from maskunet.mask import straight_through
from maskunet.masked_unet import MaskedUNet
from maskunet.models.base import DiffusionModel
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards
from maskunet.sites import find_sites

TERA = 1e12


def of_variant(
    size: Size, variant: Variant, model: DiffusionModel, rewards: WeightedRewards
) -> dict[str, float]:
    """Operations of the second of two updates, in 10^12, by phase; a multiplication and an addition are two."""
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

    The reference is its own code. What ours computes is written out, since its loop reads a number at every
    update, and these tensors have none; a test compares the two on a small model.
    """
    nowhere = torch.device("meta")
    for name, look in (("reference", _reference), ("exact", exact)):
        with FlopCounterMode(display=False) as counter:
            clock = Clock(counter.get_total_flops)
            model, rewards = clocked(*stable_diffusion(512, nowhere, torch.float32), clock)
            look(model, rewards)
            clock.lap("backward")
        clock.turn()
        found = clock.iterations[-1]
        yield {
            "name": name,
            **{phase: count / TERA for phase, count in found.items()},
            "sum": sum(found.values()) / TERA,
        }


def _reference(model: DiffusionModel, rewards: WeightedRewards) -> None:
    request, generator = Request(prompt=PROMPT), torch.Generator().manual_seed(0)
    logits = {s.name: torch.ones(s.shape, device=model.device) for s in find_sites(model.unet)}
    for value in logits.values():
        value.requires_grad_()
    with reference.thawed((model.unet, model.vae, model.text_encoder), keep_gradients=False):
        loss, *_ = reference.look(model, rewards, request, 0, 15, model.noise(0), logits, generator)
        loss.backward()


def exact(model: DiffusionModel, rewards: WeightedRewards) -> None:
    """One update of the training-free method after a timestep's first, without the optimizer's step."""
    text, x_t = model.encode(PROMPT), model.noise(0)
    with MaskedUNet(model.unet) as masked, torch.no_grad():
        features = masked.encode(torch.cat((x_t, x_t)), 999, text)
        rewards(torch.zeros_like(model.decode(x_t)), [PROMPT])  # the prompt is known from now on
    model.clock.turn()
    with MaskedUNet(model.unet) as masked:
        logits = {s.name: torch.ones(s.shape, device=model.device, requires_grad=True) for s in masked.sites}
        masks = {name: straight_through(value) for name, value in logits.items()}
        output = classifier_free(masked.decode(features, masks), model.guidance)
        x0, _ = model.schedule.x0_eps(output, x_t, 999)
        rewards(model.decode(x0), [PROMPT])["total"].sum().backward()
