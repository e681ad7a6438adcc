"""What a step of learning from a user's own pictures needs at Stable Diffusion's size, counted without a GPU."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from maskunet.bench.base import BenchSpec
from maskunet.bench.loop.flops import TERA
from maskunet.bench.loop.full_size import stable_diffusion
from maskunet.bench.loop.held import GIGA, HALF, PIXELS, Held, fused_attention
from maskunet.library.library import Library
from maskunet.models.base import DiffusionModel, single_file
from maskunet.models.base.single_file.kinds import Kind
from maskunet.training.recipes import SPECS
from maskunet.training.recipes.base import RecipeSpec, Settings

PRESETS = ("sd15", "paper")  # of Stable Diffusion, the first that a recipe has


def run(library: Library, size: str, rounds: int) -> dict[str, Any]:
    """See `counted`; nothing is measured, and one round tells all."""
    return {"unit": "10^9 bytes, 10^12 operations", "pixels": PIXELS[size], "recipes": list(counted(size))}


def counted(size: str) -> Iterator[dict[str, float | str]]:
    """Every recipe that learns from a user's own pictures, with its settings for Stable Diffusion."""
    for spec in SPECS.values():
        preset = next((name for name in PRESETS if name in spec.presets), "")
        if spec.own_pictures and preset:
            with fused_attention():
                found = of_a_step(networks(size), spec, spec.presets[preset])
            yield {"name": spec.name, "preset": preset, **found}


def networks(size: str) -> DiffusionModel:
    """Stable Diffusion 1.5 with its own tokenizer, only shapes."""
    model, _ = stable_diffusion(PIXELS[size], torch.device("meta"), HALF)
    return replace(model, tokenizer=single_file.read.tokenizers(Kind(name="sd1", title="sd1"))[0], cache={})


def of_a_step(model: DiffusionModel, spec: RecipeSpec, settings: Settings) -> dict[str, float]:
    """GB at most of all tensors of a step, and its operations; the pictures' encoding is left out, which is brief.

    A step accumulates `batch` over `micro_batch` passes, of which memory sees one. Masks are drawn. Mixed precision
    is not: what trains is float32, and so is what runs through weights that train.
    """
    held, passes = Held(), -(-settings.batch // settings.micro_batch)
    with spec.build(model, settings) as recipe:
        trained = [p for p in recipe.module.parameters() if p.requires_grad]
        for network in (*model.networks.values(), recipe.module):
            for tensor in (*network.parameters(), *network.buffers()):
                held.add(tensor)
        with held, FlopCounterMode(display=False) as operations:
            optimizer = torch.optim.AdamW(trained, foreach=True)  # as on a GPU
            for p in trained:
                optimizer.state[p] = {
                    "step": torch.zeros(()),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
            _pass(model, recipe, settings)
            optimizer.step()
    return {
        "trained": sum(p.numel() for p in trained), "batch": settings.batch, "at_once": settings.micro_batch,
        "peak_gb": held.peak / GIGA, "operations": passes * operations.get_total_flops() / TERA,
    }  # fmt: skip


def _pass(model: DiffusionModel, recipe: Any, settings: Settings) -> None:
    """Forward and back through one micro-batch."""
    count = settings.micro_batch
    recipe.module.train()
    text = (recipe.encode or model.encode_prompts)(["a photo of a <mine>"] * count)
    noise = torch.empty((count, *model.latent_shape), device=model.device, dtype=model.dtype)
    t = torch.zeros(count, dtype=torch.long, device=model.device)
    output = recipe.module(noise, t, text, list(range(count)))
    F.mse_loss(output.float(), noise.float()).backward()


SPEC = BenchSpec(
    name="training",
    summary="memory and operations of a step of learning from one's own pictures, counted without weights",
    sizes=("sd15",),
    run=run,
)
