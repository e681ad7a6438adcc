"""What every base model shares: the frozen parts of one latent diffusion model, and its SPEC."""

import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.schedule import Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """A base model that can be chosen by name.

    Attributes:
        repo: Hugging Face repository, or empty if the weights are embedded or the user's own.
        revision: commit or branch of `repo`; empty for its newest.
        download_gb: gigabytes (10^9 bytes) a download takes, said before anyone agrees to it.
        guidance: the default guidance scale, and `steps`, the default number of steps.
        tiny_decoder: repository of an AutoencoderTiny for its latents, an optional download of its own.
        folder: of embedded weights, or None.
        rewards: folder of the rewards trained with it, or None for the public checkpoints.
        vocabulary: words the model knows, by kind, where that is a short list.
    """

    name: str
    title: str
    summary: str
    license: str
    repo: str = ""
    revision: str = ""
    download_gb: float = 0.0
    guidance: float = 7.5
    steps: int = 15
    tiny_decoder: str = ""
    folder: Path | None = None
    rewards: Path | None = None
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionModel:
    """The frozen parts of a latent diffusion model, on one device.

    Attributes:
        schedule: the noise schedule and what the U-Net predicts.
        latent_scale: latents the U-Net sees = encoder output x latent_scale.
        latent_shape: (C, H, W) of one latent.
        weights: SHA-256 of each weight file by its name within the folder.
        trained: files of mask generators that were trained for it, by name; `fine_tuned`, of U-Nets.
        tiny_decoder: folder of an AutoencoderTiny (diffusers) for its latents, or None.
        parts: those that were read later, trained ones by their file; they leave with the model.
    """

    name: str
    unet: nn.Module
    vae: nn.Module
    text_encoder: nn.Module
    tokenizer: Any
    schedule: Schedule
    latent_scale: float
    latent_shape: tuple[int, int, int]
    guidance: float
    device: torch.device
    dtype: torch.dtype
    weights: Mapping[str, str]
    trained: dict[str, Path] = field(default_factory=dict)
    fine_tuned: dict[str, Path] = field(default_factory=dict)
    tiny_decoder: Path | None = None
    parts: dict[Any, nn.Module] = field(default_factory=dict, repr=False, compare=False)

    @property
    def pixels(self) -> int:
        """Edge of its pictures."""
        return self.latent_shape[-1] * 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def replayable(self) -> bool:
        """Whether work with it may be recorded and replayed, see `Replayed`."""
        return self.device.type == "cuda"

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str = "") -> Tensor:
        """Text states (2, N, D) of the negative prompt and the prompt, in this order."""
        return self.encode_prompts([negative_prompt, prompt])

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Tensor:
        """Text states (B, N, D), padded or truncated to the tokenizer's length."""
        tokens = self.tokenizer(
            prompts, padding="max_length", truncation=True,
            max_length=self.tokenizer.model_max_length, return_tensors="pt",
        )  # fmt: skip
        nn.Module.to(self.text_encoder, self.device)  # it may have been at rest
        return self.text_encoder(tokens.input_ids.to(self.device))[0].to(self.dtype)

    def noise(self, seed: int) -> Tensor:
        """Standard normal latents (1, C, H, W), drawn on the CPU: a seed means one picture."""
        generator = torch.Generator().manual_seed(int(seed))
        return torch.randn((1, *self.latent_shape), generator=generator).to(self.device, self.dtype)

    def decode(self, latents: Tensor, *, tiny: bool = False) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1] of latents (B, C, H, W); differentiable within it.

        Args:
            tiny: by the tiny decoder, several times faster and a little wrong.

        Raises:
            ValueError: as `tiny_decoder_file`.
        """
        vae, scale = self.vae, self.latent_scale
        if tiny:
            vae = self._tiny()
            scale = vae.config.scaling_factor
        return (vae.decode(latents / scale).sample / 2 + 0.5).clamp(0, 1)

    def tiny_decoder_file(self) -> Path:
        """The weights of the tiny decoder.

        Raises:
            ValueError: the model has none here; says how to get one.
        """
        path = self.tiny_decoder and self.tiny_decoder / TINY_DECODER_FILES[1]
        if path is None or not path.is_file():
            raise ValueError(
                f"There is no tiny decoder for {self.name} here. For Stable Diffusion 1.5 and 2 (0.01 GB): python -m "
                "maskunet download tiny_decoder. For another model put an AutoencoderTiny into its folder, as tiny_decoder."
            )
        return path

    def _tiny(self) -> nn.Module:
        if TINY_DECODER not in self.parts:
            from diffusers import AutoencoderTiny

            folder = self.tiny_decoder_file().parent
            options = {"torch_dtype": self.dtype, "use_safetensors": True, "output_loading_info": True}
            tiny = _load(f"tiny decoder of “{self.name}”", folder, AutoencoderTiny, options)
            # Few channels at a high resolution: on a CPU this order of memory is a third faster.
            tiny = tiny.to(self.device, memory_format=torch.channels_last)
            self.parts[TINY_DECODER] = tiny.eval().requires_grad_(False)
        return self.parts[TINY_DECODER]


def from_folder(
    folder: Path,
    *,
    name: str,
    guidance: float,
    device: torch.device,
    dtype: torch.dtype,
    tiny_decoder: Path | None = None,
) -> DiffusionModel:
    """Load any folder in Stable Diffusion 1.x or 2.x format (diffusers), frozen, safetensors only.

    Args:
        tiny_decoder: folder of an AutoencoderTiny for its latents, where the model's own has none.

    Raises:
        ValueError: the folder is no such model or a file in it is damaged; says what to do.
    """
    parts = _load_parts(folder, dtype)
    _check_parts(folder, parts)
    for module in (parts["unet"], parts["vae"], parts["text_encoder"]):
        module.to(device).eval().requires_grad_(False)
    scheduler, unet, vae = parts["scheduler"], parts["unet"], parts["vae"]
    suit(unet, vae)
    size, own = unet.config.sample_size, folder / "tiny_decoder"
    return DiffusionModel(
        name=name,
        unet=unet,
        vae=vae,
        text_encoder=parts["text_encoder"],
        tokenizer=parts["tokenizer"],
        schedule=Schedule(
            alphas_cumprod=scheduler.alphas_cumprod.clone(),
            prediction_type=scheduler.config.prediction_type,
        ),
        latent_scale=vae.config.scaling_factor,
        latent_shape=(unet.config.in_channels, size, size),
        guidance=guidance,
        device=device,
        dtype=dtype,
        weights=hashes(folder),
        trained=_by_name(folder / "generators"),
        fine_tuned=_by_name(folder / "fine_tuned"),
        tiny_decoder=own if own.is_dir() else tiny_decoder,
    )


def suit(unet: nn.Module, vae: nn.Module | None = None) -> None:
    """Choose the attention, the order of memory and the way to larger pictures that are fastest on their device."""
    if unet.device.type != "cpu":
        return
    from diffusers.models.attention_processor import AttnProcessor

    from maskunet.upsampling import fold_upsampling

    # The backward of fused attention is several times slower than plain attention on a CPU.
    unet.set_attn_processor(AttnProcessor())
    if vae is not None:
        vae.set_attn_processor(AttnProcessor())
        fold_upsampling(vae)
        # With tabletop's few channels an eighth faster, there and back; with Stable Diffusion's many as fast.
        vae.to(memory_format=torch.channels_last)


def _by_name(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


WEIGHT_FILES = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
CONFIG_FILES = {
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "tokenizer": "tokenizer_config.json",
    "scheduler": "scheduler_config.json",
}
TINY_DECODER = "tiny_decoder"  # its key among the parts
TINY_DECODER_FILES = ("config.json", "diffusion_pytorch_model.safetensors")


def _load_parts(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
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
        "scheduler": (DDIMScheduler, {}),
    }
    return {
        part: _load(f"{part} of “{folder.name}”", folder / part, kind, options)
        for part, (kind, options) in kinds.items()
    }


# While they load, diffusers and transformers put functions of their own into torch, for all threads. Two loads at
# once could take back the wrong ones, and every network made from then on would be empty.
_LOADING = threading.Lock()


def _load(what: str, path: Path, kind: Any, options: Mapping[str, Any]) -> Any:
    weights = WEIGHT_FILES.get(path.name)
    if weights and (path / f"{weights}.fp16.safetensors").is_file():
        full = any((path / f"{weights}.safetensors{end}").is_file() for end in ("", ".index.json"))
        options = options if full else {**options, "variant": "fp16"}
    try:
        with _LOADING:
            loaded = kind.from_pretrained(str(path), local_files_only=True, **options)
    except Exception as error:
        raise ValueError(
            f"The {what} cannot be read: it is incomplete, damaged or "
            "not in safetensors format. Download it again."
        ) from error
    if "output_loading_info" not in options:
        return loaded
    module, info = loaded
    # Both libraries fill what a file lacks with random numbers and only log it.
    lacking = [key for key in info["missing_keys"] if not key.endswith("position_ids")]
    if lacking:
        raise ValueError(
            f"The {what} lacks {len(lacking)} of its weights, "
            f"such as {sorted(lacking)[0]}. Download it again."
        )
    return module


def _check_parts(folder: Path, parts: Mapping[str, Any]) -> None:
    """Refuse parts that load one by one but do not make a Stable Diffusion 1.x or 2.x together."""
    unet, vae, text = (parts[part].config for part in ("unet", "vae", "text_encoder"))
    # With its files missing, CLIPTokenizer does not raise: it turns every word into "unknown".
    tokenizer = parts["tokenizer"]
    words = len(tokenizer)
    if words < 16 or words > text.vocab_size:
        raise ValueError(
            f"The tokenizer of “{folder.name}” has {words:,} entries and its text encoder "
            f"{text.vocab_size:,}: its vocabulary is missing or damaged. Download it again."
        )
    # Absent from some configurations, which means "unlimited" to transformers.
    tokenizer.model_max_length = min(tokenizer.model_max_length, text.max_position_embeddings)
    if (
        unet.cross_attention_dim != text.hidden_size
        or unet.addition_embed_type is not None
        or unet.in_channels != vae.latent_channels
    ):
        raise ValueError(
            f"“{folder.name}” is another kind of model (SDXL or inpainting, for example). "
            "Give a text-to-image Stable Diffusion 1.x or 2.x folder."
        )


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the U-Net's, the VAE's and the text encoder's safetensors files, by their name."""
    paths = (path for part in WEIGHT_FILES for path in (folder / part).glob("*.safetensors"))
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in sorted(paths)}


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    stored = path.resolve().name
    if path.is_symlink() and re.fullmatch("[0-9a-f]{64}", stored):
        return stored  # the Hugging Face cache names large files so: no need to read 4 GB
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
