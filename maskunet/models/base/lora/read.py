"""What a LoRA file holds, from its header alone; what is none, or of a kind that is not read, each in its own sentence."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from maskunet.models.base.lora.names import named
from maskunet.models.base.single_file import header as headers
from maskunet.models.base.single_file.kinds import FOREIGN, UNET
from maskunet.prompts.words import shortened

# Further ways to change weights: their tensors look like a LoRA's, or lie beside those, and would be left out.
OTHERS = {
    "a DoRA (it has dora_scale), which also changes the size of the weights": r"\.dora_scale$|lora_magnitude_vector",
    "a LoHa (hada_), a product of two LoRAs": r"\.hada_",
    "a LoKr (lokr_), a Kronecker product": r"\.lokr_",
    "an OFT or BOFT file (oft_), which turns weights": r"\.(oft_|boft_)|\.oft_R\b",
    "a LoRA with a Tucker core (lora_mid)": r"\.lora_mid\.",
    "an (IA)3 file, which scales activations": r"\.on_input$|\.ia3_l\b",
    "a GLoRA": r"\.(a1|a2|b1|b2)\.weight$",
    "a file of whole differences (.diff)": r"\.(diff|diff_b|w_norm|b_norm)$",
}
ELSEWHERE = {  # base models of other kinds, by how the names of their layers begin
    "FLUX": r"^(lora_unet_|transformer\.|diffusion_model\.)?(double_blocks|single_blocks|single_transformer_blocks)[._]",
    "Stable Diffusion 3": r"^(lora_unet_|transformer\.|diffusion_model\.)?joint_blocks[._]",
    "a model with a transformer, such as FLUX or Stable Diffusion 3": r"^transformer\.|^lora_transformer_",
}
READ = "Read are LoRA and LoCon files of kohya, diffusers and peft"
TYPES = ("F16", "BF16", "F32", "F64")
FLAGS = {"use_dora": next(iter(OTHERS)), "use_rslora": "a rank-stabilized LoRA (rsLoRA), whose scale is another"}
METADATA = "lora_adapter_metadata"  # diffusers'
MAX_TAGS = 2**20  # characters of the tags in a header
WORDS = 5  # trigger words shown


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """A LoRA file, before a tensor is read.

    Attributes:
        file: its name in quotation marks. shapes: of its tensors.
        alphas: where the header says them and no tensor does: by the layer's path, "" for all others.
        words: trigger words, the most frequent tags of its training first. license: as it says; empty if it does not.
    """

    file: str
    shapes: Mapping[str, tuple[int, ...]]
    alphas: Mapping[str, float]
    words: tuple[str, ...]
    license: str

    @property
    def note(self) -> str:
        """What to know of it: words for the prompt, and the license."""
        words = f"trigger words: {', '.join(self.words)}" if self.words else "no trigger words in its header"
        return f"{words}; license {self.license or 'unknown'}"


def about(path: Path) -> About:
    """What a LoRA file holds.

    Raises:
        ValueError: it is damaged, a pickle, no LoRA, or of a kind that is not read; one sentence.
    """
    if path.suffix.lower() in headers.PICKLES:
        raise ValueError(
            f"“{shortened(path.name, 80)}” is a pickle, which can run programs, and is not read. If you trust it, save "
            "its tensors as .safetensors: safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW)."
        )
    header = headers.read(path)
    _refuse_others(header)
    says = header.metadata
    return About(
        file=header.file,
        shapes=header.shapes,
        alphas=_alphas(says.get(METADATA, ""), header.file),
        words=_words(says),
        license=shortened(says.get("modelspec.license", "").strip(), 60),
    )


def _refuse_others(header: headers.Header) -> None:
    def first(pattern: str) -> bool:
        return any(re.search(pattern, name) for name in header.shapes)

    for what, pattern in OTHERS.items():
        if first(pattern):
            raise ValueError(f"{header.file} is {what}. {READ}.")
    unknown = [name for name in header.shapes if named(name) is None]
    if len(unknown) == len(header.shapes):
        whole = first(f"^{re.escape(UNET)}")
        what = next((what for what, is_it in FOREIGN.items() if is_it(header.shapes)), "")
        what = "a whole model; give it with --weights" if whole else what.partition(",")[0] or "something else"
        raise ValueError(f"{header.file} is no LoRA but {what}.")
    for base, pattern in ELSEWHERE.items():
        if first(pattern):
            raise ValueError(
                f"{header.file} was made for {base}; models here are Stable Diffusion's. Take another file."
            )
    if unknown:
        raise ValueError(f"{header.file} holds {shortened(unknown[0])}, which is no part of a LoRA. {READ}.")
    if odd := next((kind for kind in header.types.values() if kind not in TYPES), ""):
        raise ValueError(f"{header.file} is quantized ({odd}). Take the one in fp16, bf16 or full precision.")


def _alphas(text: str, file: str) -> dict[str, float]:
    """Alphas in diffusers' metadata: {"unet.lora_alpha": 4, "unet.alpha_pattern": {path: alpha}, …}."""
    if not text:
        return {}
    found: dict[str, float] = {}
    try:
        config = dict(json.loads(text))
        for part in ("unet", "text_encoder", "text_encoder_2"):
            if (alpha := config.get(f"{part}.lora_alpha")) is not None:
                found[part] = float(alpha)
            patterns = config.get(f"{part}.alpha_pattern") or {}
            found |= {f"{part}.{layer.removeprefix('text_model.')}": float(alpha) for layer, alpha in patterns.items()}
    except (TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{file} has {METADATA} that cannot be read: it is damaged. Download it again.") from error
    for flag, what in FLAGS.items():
        if any(value and name.endswith(flag) for name, value in config.items()):
            raise ValueError(f"{file} is {what}. {READ}.")
    return found


def _words(says: Mapping[str, str]) -> tuple[str, ...]:
    """Trigger words of a header: what its maker says, then the tags that most of its training pictures had."""
    counts: dict[str, int] = {}
    with suppress(ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        tags = says.get("ss_tag_frequency", "")
        for folder in json.loads(tags if len(tags) <= MAX_TAGS else "{}").values():
            for tag, count in folder.items():
                counts[tag.strip()] = counts.get(tag.strip(), 0) + int(count)
    stated = says.get("modelspec.trigger_phrase", "").strip()
    ordered = sorted(counts, key=lambda tag: -counts[tag])
    found = dict.fromkeys(shortened(word, 40) for word in (stated, *ordered) if word)
    return tuple(found)[:WORDS]
