"""Read a folder in Stable Diffusion format: its parts, whether they fit, their hashes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskunet.models.base import scheduler
from maskunet.models.base.model import DEFAULT_STEPS, DiffusionModel
from maskunet.models.base.reading import CONFIG_FILES, WEIGHT_FILES, read_network
from maskunet.records.disk import trained_file
from maskunet.records.disk.hub import file_hash


def from_folder(
    folder: Path,
    *,
    name: str,
    guidance: float,
    steps: int = DEFAULT_STEPS,
    device: torch.device,
    dtype: torch.dtype,
    tiny_decoder: Path | None = None,
    few_steps: bool = False,
) -> DiffusionModel:
    """Load any folder in Stable Diffusion 1.x or 2.x format (diffusers), frozen, safetensors only.

    Args:
        tiny_decoder: folder of an AutoencoderTiny for its latents, where the model's own has none.
        few_steps: see `ModelSpec`.

    Raises:
        ValueError: the folder is no such model or a file in it is damaged; says what to do.
    """
    parts = _load_parts(folder, dtype)
    schedule, note = scheduler.read(folder, few_steps=few_steps)
    own = folder / "tiny_decoder"
    return assembled(
        folder.name,
        parts,
        name=name,
        schedule=schedule,
        guidance=guidance,
        steps=steps,
        device=device,
        dtype=dtype,
        weights=hashes(folder),
        trained=trained_file.by_kind(beside(folder)),
        tiny_decoder=own if own.is_dir() else tiny_decoder,
        notes=(note,) if note else (),
    )


def assembled(of: str, parts: Mapping[str, Any], **more: Any) -> DiffusionModel:
    """A model of its parts, frozen and in their place.

    Args:
        of: name of the folder or file, for messages. parts: "unet", "vae", "text_encoder" and "tokenizer".
        more: the other fields of `DiffusionModel`.

    Raises:
        ValueError: the parts do not fit together; says what to do.
    """
    _check_parts(of, parts)
    unet, vae, text_encoder = networks = (parts["unet"], parts["vae"], parts["text_encoder"])
    for module in networks:
        module.to(more["device"]).eval().requires_grad_(False)
    suit(unet, vae)
    return DiffusionModel(
        unet=unet,
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=parts["tokenizer"],
        latent_scale=vae.config.scaling_factor,
        latent_shape=(unet.config.in_channels, *_latent_size(of, unet.config.sample_size)),
        **more,
    )


def _latent_size(of: str, size: Any) -> tuple[int, int]:
    """Height and width of the latents from a U-Net's configuration; old ones state none, which means 64."""
    sides = tuple(size) if isinstance(size, list | tuple) else (64 if size is None else size,) * 2
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"The sample_size of “{of}” is {size!r:.60}; allowed is a number above 0, or two.")
    return sides


def suit(unet: nn.Module, vae: nn.Module | None = None) -> None:
    """Choose the attention, the order of memory and the way to larger pictures that are fastest on their device."""
    if unet.device.type != "cpu":
        return
    from diffusers.models.attention_processor import AttnProcessor

    from maskunet.models.base.upsampling import fold_upsampling

    # The backward of fused attention is several times slower than plain attention on a CPU.
    unet.set_attn_processor(AttnProcessor())
    if vae is not None:
        vae.set_attn_processor(AttnProcessor())
        fold_upsampling(vae)
        # With tabletop's few channels an eighth faster, there and back; with Stable Diffusion's many as fast.
        vae.to(memory_format=torch.channels_last)


def beside(folder: Path) -> list[tuple[str, Path]]:
    """The names and files that came with the model besides its parts, such as generators/light.safetensors."""
    files = (path for path in sorted(folder.glob("*/*.safetensors")) if path.parent.name not in WEIGHT_FILES)
    return [(path.stem, path) for path in files]


def _load_parts(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    missing = [part for part, file in CONFIG_FILES.items() if not (folder / part / file).is_file()]
    if missing:
        raise ValueError(
            f"“{folder.name}” is not a Stable Diffusion folder: it has no {', '.join(missing)}. "
            "Give the folder that holds model_index.json."
        )
    options = {"use_safetensors": True, "output_loading_info": True}
    kinds = {
        "unet": (UNet2DConditionModel, {"torch_dtype": dtype, **options}),
        "vae": (AutoencoderKL, {"torch_dtype": dtype, **options}),
        "text_encoder": (CLIPTextModel, {"dtype": dtype, **options}),
        "tokenizer": (CLIPTokenizer, {}),
    }
    return {
        part: read_network(f"{part} of “{folder.name}”", folder / part, kind, options)
        for part, (kind, options) in kinds.items()
    }


def _check_parts(of: str, parts: Mapping[str, Any]) -> None:
    """Refuse parts that load one by one but do not make a Stable Diffusion 1.x or 2.x together."""
    unet, vae, text = (parts[part].config for part in ("unet", "vae", "text_encoder"))
    # With its files missing, CLIPTokenizer does not raise: it turns every word into "unknown".
    tokenizer = parts["tokenizer"]
    words = len(tokenizer)
    if words < 16 or words > text.vocab_size:
        raise ValueError(
            f"The tokenizer of “{of}” has {words:,} entries and its text encoder "
            f"{text.vocab_size:,}: its vocabulary is missing or damaged. Download it again."
        )
    # Absent from some configurations, which means "unlimited" to transformers.
    tokenizer.model_max_length = min(tokenizer.model_max_length, text.max_position_embeddings)
    if unet.time_cond_proj_dim is not None:
        raise ValueError(
            f"“{of}” was distilled to take the guidance scale as an input (LCM), which no method here gives. "
            "Give a model that is guided as Stable Diffusion is."
        )
    if (
        unet.cross_attention_dim != text.hidden_size
        or unet.addition_embed_type is not None
        or unet.in_channels != vae.latent_channels
    ):
        raise ValueError(
            f"“{of}” is another kind of model (SDXL or inpainting, for example). "
            "Give a text-to-image Stable Diffusion 1.x or 2.x folder."
        )


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the U-Net's, the VAE's and the text encoder's safetensors files, by their name."""
    paths = (path for part in WEIGHT_FILES for path in (folder / part).glob("*.safetensors"))
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in sorted(paths)}
