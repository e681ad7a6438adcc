"""Read a folder in Stable Diffusion format: its parts, whether they fit, their hashes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskunet.models.base import scheduler
from maskunet.models.base.foreign import GIVE, refuse_others
from maskunet.models.base.model import DEFAULT_STEPS, DiffusionModel
from maskunet.models.base.reading import config_files, config_of, index_of, is_xl, read_network, weight_files
from maskunet.records.disk import trained_file
from maskunet.records.disk.hub import file_hash

TIME_NUMBERS = 6  # of a picture's sizes that Stable Diffusion XL is told


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
    vae: Path | None = None,
) -> DiffusionModel:
    """Load any folder in Stable Diffusion 1.x, 2.x or XL format (diffusers), frozen, safetensors only.

    Args:
        tiny_decoder: folder of an AutoencoderTiny for its latents, where the model's own has none.
        few_steps: see `ModelSpec`.
        vae: folder of a VAE for XL in float16, where the model's own overflows; without it that one computes in float32.

    Raises:
        ValueError: the folder is no such model or a file in it is damaged; says what to do.
    """
    refuse_others(folder)
    parts, weights = _load_parts(folder, dtype), hashes(folder)
    if vae is not None and is_xl(folder) and dtype == torch.float16:
        parts["vae"], hashed = other_vae(vae, dtype)
        weights |= hashed
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
        weights=weights,
        trained=trained_file.by_kind(beside(folder)),
        tiny_decoder=own if own.is_dir() else tiny_decoder,
        empty_is_zeros=is_xl(folder) and index_of(folder).get("force_zeros_for_empty_prompt") is not False,
        notes=(note,) if note else (),
    )


def assembled(of: str, parts: Mapping[str, Any], **more: Any) -> DiffusionModel:
    """A model of its parts, frozen and in their place.

    Args:
        of: name of the folder or file, for messages. parts: "unet", "vae", "text_encoder" and "tokenizer", of Stable
            Diffusion XL also "text_encoder_2" and "tokenizer_2".
        more: the other fields of `DiffusionModel`.

    Raises:
        ValueError: the parts do not fit together; says what to do.
    """
    _check_parts(of, parts)
    unet, vae = parts["unet"], parts["vae"]
    model = DiffusionModel(
        **parts,
        latent_scale=vae.config.scaling_factor,
        latent_shape=(unet.config.in_channels, *_latent_size(of, unet.config.sample_size)),
        **more,
    )
    for module in model.networks.values():
        module.to(model.device).eval().requires_grad_(False)
    suit(unet, vae)
    return model


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
    parts = weight_files(folder)
    files = (path for path in sorted(folder.glob("*/*.safetensors")) if path.parent.name not in parts)
    return [(path.stem, path) for path in files]


def other_vae(folder: Path, dtype: torch.dtype) -> tuple[nn.Module, dict[str, str]]:
    """A VAE that takes the place of a model's own, and the SHA-256 of its files."""
    from diffusers import AutoencoderKL

    options = {"torch_dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    network = read_network("VAE for float16", folder, AutoencoderKL, options)
    return network, {f"vae_float16/{name}": digest for name, digest in _hashed(folder).items()}


def _load_parts(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    missing = [part for part, file in config_files(folder).items() if not (folder / part / file).is_file()]
    if missing:
        raise ValueError(
            f"“{folder.name}” is not a Stable Diffusion folder: it has no {', '.join(missing)}. "
            "Give the folder that holds model_index.json."
        )
    options = {"use_safetensors": True, "output_loading_info": True}
    kinds = {
        "unet": (UNet2DConditionModel, {"torch_dtype": dtype, **options}),
        "vae": (AutoencoderKL, {"torch_dtype": _of_vae(folder, dtype), **options}),
        "text_encoder": (CLIPTextModel, {"dtype": dtype, **options}),
        "tokenizer": (CLIPTokenizer, {}),
    }
    if is_xl(folder):
        kinds["text_encoder_2"] = (CLIPTextModelWithProjection, {"dtype": dtype, **options})
        kinds["tokenizer_2"] = (CLIPTokenizer, {})
    return {
        part: read_network(f"{part} of “{folder.name}”", folder / part, kind, options)
        for part, (kind, options) in kinds.items()
    }


def _of_vae(folder: Path, dtype: torch.dtype) -> torch.dtype:
    """What the VAE computes in: that of Stable Diffusion XL overflows in float16, unless its configuration says not."""
    overflows = is_xl(folder) and config_of(folder, "vae").get("force_upcast", True)
    return torch.float32 if overflows and dtype == torch.float16 else dtype


def _check_parts(of: str, parts: Mapping[str, Any]) -> None:
    """Refuse parts that load one by one but do not make a Stable Diffusion 1.x, 2.x or XL together."""
    unet, vae, second = parts["unet"].config, parts["vae"].config, "text_encoder_2" in parts
    texts = [parts[part].config for part in ("text_encoder", "text_encoder_2")[: 1 + second]]
    for tokenizer, text in zip((parts["tokenizer"], parts.get("tokenizer_2")), texts, strict=False):
        _check_tokenizer(of, tokenizer, text)
    if unet.time_cond_proj_dim is not None:
        raise ValueError(
            f"“{of}” was distilled to take the guidance scale as an input (LCM), which no method here gives. "
            "Give a model that is guided as Stable Diffusion is."
        )
    fits = unet.cross_attention_dim == sum(text.hidden_size for text in texts)
    fits = fits and unet.addition_embed_type == ("text_time" if second else None)
    if second and fits:
        sizes = TIME_NUMBERS * (unet.addition_time_embed_dim or 0)
        fits = unet.projection_class_embeddings_input_dim == texts[1].projection_dim + sizes
    if not fits or unet.in_channels != vae.latent_channels:
        raise ValueError(f"“{of}” is another kind of model, or its parts are of several. {GIVE}")


def _check_tokenizer(of: str, tokenizer: Any, text: Any) -> None:
    # With its files missing, CLIPTokenizer does not raise: it turns every word into "unknown".
    words = len(tokenizer)
    if words < 16 or words > text.vocab_size:
        raise ValueError(
            f"The tokenizer of “{of}” has {words:,} entries and its text encoder "
            f"{text.vocab_size:,}: its vocabulary is missing or damaged. Download it again."
        )
    # Absent from some configurations, which means "unlimited" to transformers.
    tokenizer.model_max_length = min(tokenizer.model_max_length, text.max_position_embeddings)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the U-Net's, the VAE's and the text encoders' safetensors files, by their name."""
    found: dict[str, str] = {}
    for part in weight_files(folder):
        found |= {f"{part}/{name}": digest for name, digest in _hashed(folder / part).items()}
    return dict(sorted(found.items()))


def _hashed(folder: Path) -> dict[str, str]:
    return {path.name: file_hash(path) for path in sorted(folder.glob("*.safetensors"))}
