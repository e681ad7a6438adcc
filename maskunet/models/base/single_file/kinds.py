"""Which model a single file holds, by the names and shapes in its header; what is none, each in its own sentence."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from maskunet.models.base.foreign import CHANNELS
from maskunet.models.base.single_file.header import Header
from maskunet.records.disk.trained_file import FORM

CONFIGS = Path(__file__).parent / "configs"
UNET, VAE = "model.diffusion_model.", "first_stage_model."
SECOND = "conditioner.embedders.1.model."
TEXT = {
    "sd1": {"text_encoder": "cond_stage_model.transformer."},  # CLIP
    "sd2": {"text_encoder": "cond_stage_model.model."},  # OpenCLIP
    "sdxl": {"text_encoder": "conditioner.embedders.0.transformer.", "text_encoder_2": SECOND},
}  # where each kind's text encoders are
TITLES = {"sd1": "Stable Diffusion 1.x", "sd2": "Stable Diffusion 2.x", "sdxl": "Stable Diffusion XL"}
WORDS = {"unet": "U-Net", "vae": "VAE", "text_encoder": "text encoder", "text_encoder_2": "second text encoder"}
GIVE = "Give a text-to-image checkpoint of Stable Diffusion 1.x, 2.x or XL."


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A layout of single files that can be read: its name, its title, and the folder of its configurations."""

    name: str
    title: str

    @property
    def networks(self) -> tuple[str, ...]:
        """The parts that have weights."""
        return ("unet", "vae", *TEXT[self.name])

    @property
    def configs(self) -> Path:
        """As of a diffusers folder without weights."""
        return CONFIGS / self.name


def recognize(header: Header) -> Kind:
    """The kind of model in a file.

    Raises:
        ValueError: another kind, a part of one, or quantized; one sentence.
    """
    names = header.shapes
    if FORM.fullmatch(next(iter(header.metadata), "")):
        raise ValueError(f"{header.file} is a part that was trained here, not a base model. Choose it in a method.")
    for what, is_it in FOREIGN.items():
        if is_it(names):
            raise ValueError(f"{header.file} is {what}. {GIVE}")
    first = f"{UNET}input_blocks.0.0.weight"
    if first not in names:
        raise ValueError(f"{header.file} holds no model that is known here{_such_as(names)}. {GIVE}")
    channels = (*names[first], 0, 0)[1]
    if channels != 4:
        what = CHANNELS.get(channels, "another kind of model")
        raise ValueError(f"{header.file} is {what}: its U-Net takes {channels} channels, not 4. {GIVE}")
    if kind := next((kind for name, kind in header.types.items() if _quantized(name, kind)), ""):
        raise ValueError(f"{header.file} is quantized ({kind}). Take the one in fp16, bf16 or full precision.")
    kind = Kind(name=(name := _layout(names)), title=TITLES[name])
    there = {"vae": VAE, **TEXT[name]}
    lacking = [WORDS[part] for part, prefix in there.items() if not _begin(prefix, names)]
    if lacking:
        lacking = " and ".join(sorted(lacking, key=[*reversed(WORDS.values())].index))
        raise ValueError(f"{header.file} lacks the {lacking}: it is no whole checkpoint. Take the full one.")
    return kind


def _layout(names: Mapping[str, object]) -> str:
    """Which of the layouts a checkpoint has, by the names of its text encoders; XL also by its U-Net's."""
    if f"{UNET}label_emb.0.0.weight" in names or _begin(SECOND, names):
        return "sdxl"
    return next((name for name, texts in TEXT.items() if all(_begin(each, names) for each in texts.values())), "sd1")


def _begin(prefix: str, names: Iterable[str]) -> bool:
    return any(each.startswith(prefix) for each in names)


def _such_as(names: Mapping[str, object]) -> str:
    return f" (its first weight is {next(iter(names)):.60})" if names else " (it holds nothing)"


def _quantized(name: str, kind: str) -> bool:
    ours = name.startswith((UNET, VAE, *(prefix for texts in TEXT.values() for prefix in texts.values())))
    return ours and (kind.startswith(("F8", "F4", "F6")) or kind in ("U8", "I8"))


def _any(pattern: str) -> Callable[[Mapping[str, object]], bool]:
    found = re.compile(pattern)
    return lambda names: any(map(found.search, names))


def _embedding(names: Mapping[str, tuple[int, ...]]) -> bool:
    vectors = all(len(shape) in (1, 2) and shape[-1:] in ((768,), (1024,), (1280,)) for shape in names.values())
    return bool(names) and len(names) <= 2 and vectors


def _refiner(names: Mapping[str, object]) -> bool:
    return not _any(r"^conditioner\.embedders\.1\.")(names) and _any(r"^conditioner\.embedders\.0\.model\.")(names)


def _alone(part: str) -> Callable[[Mapping[str, object]], bool]:
    """Whether there is this part and no U-Net beside it."""
    has, unet = _any(part), _any(rf"^{re.escape(UNET)}")
    return lambda names: has(names) and not unet(names)


# What a file may be besides, the first that fits. Prefixes vary: U-Nets and transformers also come alone.
FOREIGN: Mapping[str, Callable[[Mapping[str, tuple[int, ...]]], bool]] = {
    "a DoRA, which goes on top of a base model": _any(r"\.dora_scale$"),
    "a LoHa, LoKr or OFT file, which goes on top of a base model": _any(r"\.(hada_|lokr_|oft_)"),
    "a LoRA, which goes on top of a base model": _any(r"\.lora_(down|up|A|B)\b|[._]lora\.(down|up)\.|^lora_(unet|te)"),
    "a file of differences, which goes on top of a base model": _any(r"\.diff(_b)?$"),
    "a ControlNet, which goes beside a base model": _any(r"^control_model\.|input_hint_block|controlnet_cond_embedding"),
    "a motion module (AnimateDiff), which goes into a base model": _any(r"motion_modules\."),
    "a FLUX model": _any(r"(^|\.)double_blocks\.0\.|(^|\.)single_transformer_blocks\.0\."),
    "a Stable Diffusion 3 model": _any(r"(^|\.)joint_blocks\.0\."),
    "a PixArt model": _any(r"(^|\.)blocks\.0\.cross_attn\.(q_linear|kv_linear)|(^|\.)adaln_single\."),
    "a Z-Image or Lumina model": _any(r"(^|\.)cap_embedder\.0\."),
    "a Wan video model": _any(r"(^|\.)head\.modulation$"),
    "a Stable Cascade model": _any(r"clip_txt_mapper\.|(^|\.)down_blocks\.0\.1\.channelwise\."),
    "a Playground 2.5 model": _any(r"^edm_mean$"),
    "the refiner of Stable Diffusion XL, which needs its base": _refiner,
    "an embedding (textual inversion), a new word for a base model": lambda names: (
        _any(r"^(emb_params|clip_[lg]|string_to_param\b.*)$")(names) or _embedding(names)
    ),
    "a VAE alone": _alone(r"^(first_stage_model\.)?decoder\.(conv_in|up|mid|up_blocks|mid_block)\b"),
    "a text encoder alone": _alone(r"text_model\.encoder\.|transformer\.resblocks\."),
    "one network of a diffusers folder; give the folder that holds model_index.json": _any(r"^(down|up)_blocks\.0\."),
}  # fmt: skip
