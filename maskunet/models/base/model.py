"""What a base model is: its SPEC, and its frozen parts with what can be asked of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskunet.diffusion import Schedule, classifier_free, doubled
from maskunet.encoders import two_texts
from maskunet.encoders.text_states import TextStates
from maskunet.models.base.reading import TINY_DECODER_FILES, read_network
from maskunet.records.added import NOTHING, Added

DEFAULT_STEPS = 15  # the paper's, for its comparisons
VIDEO_TIMES = (881, 941)  # of 1,000 timesteps, as Text2Video-Zero was published for pictures of 512 x 512
Judge = Callable[[str, Sequence[np.ndarray]], list[dict[str, Any]]]
"""Says of a prompt's pictures, (H, W, 3) uint8, whether they show it: see `tabletop.verdict.judge`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """A base model that can be chosen by name.

    Attributes:
        repo: Hugging Face repository, or empty if the weights are embedded or the user's own.
        revision: commit or branch of `repo`; empty for its newest. variant: which of its weights, such as "fp16".
        download_gb: gigabytes (10^9 bytes) a download takes, said before anyone agrees to it.
        guidance: the default guidance scale, and `steps`, the default number of steps.
        few_steps: it was distilled for a few steps or one, and is sampled as `Schedule.few_steps` says.
        tiny_decoder: repository of an AutoencoderTiny for its latents, an optional download of its own.
        vae: repository of a VAE that takes the place of its own in float16, where that one overflows.
        folder: of embedded weights, or the user's own folder or file; None for the others.
        rewards: folders of the rewards trained with it, each taken from the first that has it; none for the public
            checkpoints.
        embedded: it comes with the project, needs no download, and pictures the scenes of `maskunet.tabletop`.
        opens: of the embedded ones the one that a page begins with.
        vocabulary: words the model knows, by kind, where that is a short list.
        refused: why a file of the user's cannot be read; empty for all others.
        judge: where a picture can be told right from wrong, what tells it; else None.
        video_times: t0 and t1 of a video's frames, see `records.video.Motion`.
    """

    name: str
    title: str
    summary: str
    license: str
    repo: str = ""
    revision: str = ""
    variant: str = ""
    download_gb: float = 0.0
    guidance: float = 7.5
    steps: int = DEFAULT_STEPS
    few_steps: bool = False
    tiny_decoder: str = ""
    vae: str = ""
    folder: Path | None = None
    rewards: tuple[Path, ...] = ()
    embedded: bool = False
    opens: bool = False
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: str = ""
    judge: Judge | None = None
    video_times: tuple[int, int] = VIDEO_TIMES


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionModel:
    """The frozen parts of a latent diffusion model, on one device.

    Attributes:
        schedule: the noise schedule and what the U-Net predicts.
        latent_scale: latents the U-Net sees = encoder output x latent_scale.
        latent_shape: (C, H, W) of one latent.
        text_encoder_2, tokenizer_2: the second ones that Stable Diffusion XL has; None for the others.
        empty_is_zeros: whether the text states of an empty prompt are zeros, as in most of these.
        guidance, steps: used where a request leaves them open.
        weights: SHA-256 of each weight file by its name within the folder.
        trained: files that were trained for it, by their kind (`trained_file.kinds`) and name.
        tiny_decoder: folder of an AutoencoderTiny (diffusers) for its latents, or None.
        notes: sentences on what its folder asks for and does not get.
        judge, video_times: as those of `ModelSpec`.
        added: LoRA files and embeddings that are on it, see `dressed`.
        cache: networks that were read later, trained ones by their file; they leave with the model.
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
    text_encoder_2: nn.Module | None = None
    tokenizer_2: Any = None
    empty_is_zeros: bool = False
    steps: int = DEFAULT_STEPS
    trained: dict[str, dict[str, Path]] = field(default_factory=dict)
    tiny_decoder: Path | None = None
    notes: tuple[str, ...] = ()
    judge: Judge | None = None
    video_times: tuple[int, int] = VIDEO_TIMES
    added: Added = NOTHING
    cache: dict[Any, nn.Module] = field(default_factory=dict, repr=False, compare=False)

    @property
    def pixels(self) -> int:
        """Edge of its pictures."""
        return self.size[-1]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its pictures."""
        height, width = (side * 2 ** (len(self.vae.config.block_out_channels) - 1) for side in self.latent_shape[1:])
        return height, width

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Its networks by the names of their folders."""
        found = {"unet": self.unet, "vae": self.vae, "text_encoder": self.text_encoder}
        return found if self.text_encoder_2 is None else {**found, "text_encoder_2": self.text_encoder_2}

    @property
    def readers(self) -> tuple[tuple[nn.Module, Any], ...]:
        """Each text encoder with its tokenizer."""
        first = (self.text_encoder, self.tokenizer)
        return (first,) if self.text_encoder_2 is None else (first, (self.text_encoder_2, self.tokenizer_2))

    @property
    def text_encoders(self) -> tuple[nn.Module, ...]:
        """One, or two."""
        return (self.text_encoder,) if self.text_encoder_2 is None else (self.text_encoder, self.text_encoder_2)

    @property
    def replayable(self) -> bool:
        """Whether work with it may be recorded and replayed, see `Replayed`."""
        return self.device.type == "cuda"

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str = "") -> TextStates:
        """Text states of the negative prompt and the prompt, in this order."""
        return self.encode_prompts([negative_prompt, prompt])

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> TextStates:
        """Text states of B prompts, padded or truncated to the tokenizer's length."""
        return self.text_states(prompts)

    def text_states(self, prompts: list[str]) -> TextStates:
        """As `encode_prompts`, with gradients to what learns in the text encoders."""
        if self.text_encoder_2 is not None:
            readers = ((self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2))
            sizes = (*self.size, 0, 0, *self.size)
            place = (self.device, self.dtype)
            return two_texts.encode(prompts, readers, sizes, zeros=self.empty_is_zeros, place=place)
        tokens = self.tokenizer(
            prompts,
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )
        nn.Module.to(self.text_encoder, self.device)  # it may have been at rest
        return TextStates(self.text_encoder(tokens.input_ids.to(self.device))[0].to(self.dtype))

    def predict(self, x_t: Tensor, t: int, text: TextStates, scale: float = 1.0) -> Tensor:
        """The U-Net's output (B, C, H, W) at one timestep, guided where `scale` is above 1.

        Args:
            x_t: (B, C, H, W). text: both guidance halves of B prompts, or of one for all latents.
        """
        text = text.guided(scale).repeated(2 * len(x_t) // text.batch)
        return classifier_free(self.unet(doubled(x_t, scale), t, **text.arguments).sample, scale)

    def predict_x0(self, x_t: Tensor, t: int, text: TextStates, scale: float = 1.0) -> Tensor:
        """The clean latents (B, C, H, W) that `predict` stands for."""
        return self.schedule.x0_eps(self.predict(x_t, t, text, scale), x_t, t)[0]

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
        # A VAE that overflows in half precision computes in another one.
        return (vae.decode(latents.to(vae.dtype) / scale).sample / 2 + 0.5).clamp(0, 1).to(self.dtype)

    def tiny_decoder_file(self) -> Path:
        """The weights of the tiny decoder.

        Raises:
            ValueError: the model has none here; says how to get one.
        """
        path = self.tiny_decoder and self.tiny_decoder / TINY_DECODER_FILES[1]
        if path is None or not path.is_file():
            raise ValueError(
                f"There is no tiny decoder for {self.name} here. For Stable Diffusion 1.5, 2 and XL (0.02 GB): python "
                "-m maskunet download tiny_decoder. For another model put an AutoencoderTiny into its folder, as tiny_decoder."
            )
        return path

    def _tiny(self) -> nn.Module:
        if TINY_DECODER not in self.cache:
            from diffusers import AutoencoderTiny

            folder = self.tiny_decoder_file().parent
            options = {"torch_dtype": self.dtype, "use_safetensors": True, "output_loading_info": True}
            tiny = read_network(f"tiny decoder of “{self.name}”", folder, AutoencoderTiny, options)
            # Few channels at a high resolution: on a CPU this order of memory is a third faster.
            tiny = tiny.to(self.device, memory_format=torch.channels_last)
            self.cache[TINY_DECODER] = tiny.eval().requires_grad_(False)
        return self.cache[TINY_DECODER]


TINY_DECODER = "tiny_decoder"  # its key in the cache
