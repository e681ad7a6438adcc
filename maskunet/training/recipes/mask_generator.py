"""MaskUNet's training: the mask generator learns from the diffusion loss, and the U-Net stays frozen."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from maskunet import seeds
from maskunet.encoders.text_states import TextStates
from maskunet.machine import free_memory
from maskunet.masks import generator_file, mask
from maskunet.masks.generator import GeneratorSettings, MaskGenerator
from maskunet.masks.masked_unet import Features, MaskedUNet
from maskunet.masks.sites import find_sites
from maskunet.models.base import DiffusionModel
from maskunet.training.recipes.base import Recipe, RecipeSpec, Settings

STATE = 16  # bytes for each masked weight of a sample: logits, noise, mask and masked weight; or static: AdamW's
LARGE = 100e6  # masked weights from which on there may be too little memory
EARLY, LATE = 900, 100  # the timesteps whose masks are compared; sampling goes from high to low


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskSettings(Settings, GeneratorSettings):
    """The loop's settings and the generator's; one seed for both."""

    def generator(self) -> GeneratorSettings:
        """The part that the generator knows."""
        return GeneratorSettings(**{each.name: getattr(self, each.name) for each in fields(GeneratorSettings)})


class Masked(nn.Module):
    """The U-Net under the generator's masks, in the form that the loop calls; only the generator is in it."""

    def __init__(self, generator: MaskGenerator, masked: MaskedUNet):
        super().__init__()
        self.generator, self.masked = generator, masked

    def forward(self, x_t: Tensor, t: Tensor, text: TextStates, draws: list[int]) -> Tensor:
        """The output (B, C, H, W) under masks drawn per sample; without `draws` they are deterministic."""
        noise = [torch.Generator().manual_seed(seeds.of_sample_masks(draw)) for draw in draws] or None
        learns = torch.is_grad_enabled() and text.states.requires_grad  # nothing before the first site has a mask
        with torch.set_grad_enabled(learns):
            features = self.masked.encode(x_t, t, text)
        return self.masked.decode(features, lambda block, inner: self.generator(block, inner, noise))


def check_room(model: DiffusionModel, settings: MaskSettings) -> None:
    """Refuse masks that the device cannot hold, as each sample has its own; those of small models always fit.

    Raises:
        ValueError: says how much they would take.
    """
    weights = sum(site.weights for site in find_sites(model.unet))
    free = free_memory(model.device)
    moments = STATE * weights if settings.variant == "static" else 0
    each = STATE * weights
    if weights < LARGE or each * settings.micro_batch + moments <= free:
        return
    fit = int(max(free - moments, 0) // each)
    advice = f"Set micro_batch to {fit} or less" if fit else "Train a LoRA, which needs less, or use a larger device"
    raise ValueError(
        f"The masks of {model.name} take about {each / 1e9:.0f} GB for each of the {settings.micro_batch} samples of a "
        f"micro-batch, and {free / 1e9:.0f} GB are free. {advice}."
    )


@contextmanager
def build(model: DiffusionModel, settings: MaskSettings) -> Iterator[Recipe]:
    """Put masks on the frozen U-Net while the generator learns.

    Raises:
        ValueError: as `check_room`.
    """
    check_room(model, settings)
    generator = MaskGenerator(model.unet, settings.generator()).to(model.device)
    with MaskedUNet(model.unet, checkpointing=settings.checkpointing) as masked:
        used = {str(site.block) for site in masked.sites}
        for block, part in generator.blocks.items():
            part.requires_grad_(block in used)  # processes must not wait for gradients that never come
        module = Masked(generator, masked)

        def save(path: Path) -> None:
            base = {"model": model.name, "weights": dict(model.weights), "learns_from": settings.learns_from}
            generator_file.save(generator, path, base)

        yield Recipe(module=module, save=save, measure=lambda x0, text: measure(module, model, x0, text))


@torch.no_grad()
def measure(module: Masked, model: DiffusionModel, x0: Tensor, text: TextStates) -> dict[str, float]:
    """The removed ratio, and how far masks differ over timesteps and samples, in shares of the weights.

    Args:
        x0: (2, C, h, w) two latents. text: their text states.

    Returns:
        `removed`, of the deterministic masks, and `expected`, of drawn ones; `distance_time` between the
        masks of timesteps 900 and 100, and `distance_sample` between the two samples.
    """
    found = {t: _masks(module, model, x0, text, t) for t in (EARLY, LATE)}
    early, late = found[EARLY][0], found[LATE][0]
    return {
        "removed": float(1 - early.mean() / 2 - late.mean() / 2),
        "expected": float(1 - found[EARLY][1] / 2 - found[LATE][1] / 2),
        "distance_time": float((early != late).float().mean()),
        "distance_sample": float((early[0] != early[1]).float().mean()),
    }


def _masks(module: Masked, model: DiffusionModel, x0: Tensor, text: TextStates, t: int) -> tuple[Tensor, Tensor]:
    """The deterministic masks (2, weights) at a timestep, and the mean keep probability."""
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(t)).to(x0)
    alpha_bar = model.schedule.alpha_bar(t)
    x_t = (alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise).to(model.dtype)
    masks, kept = [], []

    def make(block: int, features: Features) -> dict[str, Tensor]:
        made = module.generator(block, features)
        masks.extend(each.flatten(1).float() for each in made.values())
        logits = module.generator.logits(block, features)
        kept.extend(mask.keep_probability(v, module.generator.settings.noise).flatten() for v in logits.values())
        return made

    module.masked.decode(module.masked.encode(x_t, t, text), make)
    return torch.cat(masks, 1), torch.cat(kept).mean()


SPEC = RecipeSpec(
    name="mask_generator",
    title="MaskUNet, trained",
    summary="A small network learns which weights to remove, from the diffusion loss alone.",
    source="MaskUNet (CVPR 2025), section 3.2 and 4.1",
    makes="generator",
    presets={
        "paper": MaskSettings(variant="live"),
        "official": MaskSettings(variant="official"),
        "tabletop": MaskSettings(
            steps=400, batch=16, micro_batch=16, learning_rate=1e-2, caption_dropout=0.1, every=100
        ),
    },
    build=build,
)
