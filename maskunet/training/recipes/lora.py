"""LoRA (Hu et al. 2021): low-rank additions to the attention projections of the whole U-Net, by peft."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from maskunet.models.base import DiffusionModel, fine_tuned
from maskunet.plugins import setting
from maskunet.training.recipes.base import Recipe, RecipeSpec, Settings, UNet

TARGETS = ("to_k", "to_q", "to_v", "to_out.0")


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraSettings(Settings):
    """The loop's settings, and:

    Attributes:
        rank: of the additions. alpha: their scale is alpha / rank.
    """

    rank: int = setting(4, "rank of the additions", low=1, high=4096)
    alpha: int = setting(4, "scale times rank", low=1, high=65_536)


@contextmanager
def build(model: DiffusionModel, settings: LoraSettings) -> Iterator[Recipe]:
    """Put adapters around the projections, and take them off again."""
    import peft

    with _put_back(model.unet):
        with torch.random.fork_rng():  # peft draws from the global stream
            torch.manual_seed(settings.seed)
            config = peft.LoraConfig(
                r=settings.rank, lora_alpha=settings.alpha, init_lora_weights="gaussian", target_modules=list(TARGETS)
            )
            model.unet.add_adapter(config)
        added = {n: p for n, p in model.unet.named_parameters() if "lora_" in n}
        for p in added.values():
            p.data = p.data.float()
        if settings.checkpointing:
            model.unet.enable_gradient_checkpointing()

        def save(path: Path) -> None:
            from diffusers.utils import convert_state_dict_to_diffusers

            layers = convert_state_dict_to_diffusers(peft.get_peft_model_state_dict(model.unet))
            tensors = {f"unet.{name}": value.cpu().contiguous() for name, value in layers.items()}
            # Without it diffusers takes alpha for the rank.
            how = {f"unet.{key}": value for key, value in config.to_dict().items()}
            more = {"lora_adapter_metadata": json.dumps(how, default=sorted, sort_keys=True)}
            base = {"model": model.name, "weights": model.weights, "learns_from": settings.learns_from}
            fine_tuned.save(path, tensors, "lora", base, **more)

        yield Recipe(module=UNet(model.unet), save=save)


@contextmanager
def _put_back(unet: nn.Module) -> Iterator[None]:
    """Afterwards every layer is the very object it was, frozen, and no adapter is left."""
    names = [n for n, m in unet.named_modules() if isinstance(m, nn.Linear) and n.endswith(TARGETS)]
    originals = {name: unet.get_submodule(name) for name in names}
    frozen = {name: p.requires_grad for name, p in unet.named_parameters()}
    try:
        yield
    finally:
        for name, layer in originals.items():
            unet.set_submodule(name, layer)
        for name in ("peft_config", "_hf_peft_config_loaded"):
            vars(unet).pop(name, None)
        for name, p in unet.named_parameters():
            p.requires_grad_(frozen[name]).grad = None
        unet.disable_gradient_checkpointing()
        unet.eval()


SPEC = RecipeSpec(
    name="lora",
    title="LoRA",
    summary="Low-rank additions to the attention projections learn, and the U-Net stays.",
    source="Hu et al. 2021; the baseline of MaskUNet (CVPR 2025), Table 1, whose script has rank 256 and alpha 512",
    makes="unet",
    presets={
        "paper": LoraSettings(rank=256, alpha=512),
        "tabletop": LoraSettings(
            steps=400, batch=16, micro_batch=16, learning_rate=1e-3, caption_dropout=0.1, every=100
        ),
    },
    build=build,
)
