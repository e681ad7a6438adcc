"""Full fine-tune: every weight of a copy of the U-Net."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskunet.models.base import DiffusionModel, fine_tuned
from maskunet.training.recipes.base import Recipe, RecipeSpec, Settings, UNet


@contextmanager
def build(model: DiffusionModel, settings: Settings) -> Iterator[Recipe]:
    """Train a float32 copy; the base model is not touched."""
    unet = copy.deepcopy(model.unet).float().requires_grad_(True)
    if settings.checkpointing:
        unet.enable_gradient_checkpointing()

    def save(path: Path) -> None:
        state = {name: value.to(model.dtype).contiguous() for name, value in unet.state_dict().items()}
        fine_tuned.save(path, state, "full", {"model": model.name, "weights": model.weights})

    yield Recipe(module=UNet(unet), save=save)


SPEC = RecipeSpec(
    name="full",
    title="Full fine-tune",
    summary="Every weight of the U-Net goes on training on the data.",
    source="the baseline of MaskUNet (CVPR 2025), Table 1; there AdamW, 1e-5, weight decay 1e-2, 12 epochs",
    makes="unet",
    presets={
        "paper": Settings(),
        "tabletop": Settings(steps=400, batch=16, micro_batch=16, caption_dropout=0.1, every=100),
    },
    build=build,
)
