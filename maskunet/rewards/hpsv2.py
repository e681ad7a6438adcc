"""HPSv2 (Wu et al. 2023): the cosine of a picture and a prompt in a CLIP tuned on people's choices.

Reads the published checkpoints (v2.1 first, else v2.0), or a folder hpsv2/ with an open_clip config.
The cosine has no logit scale; compare it within one prompt only.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.encoders import clip
from maskunet.encoders.pixels import normalized
from maskunet.encoders.reading import load_frozen, read_checkpoint, read_json
from maskunet.records.disk.hub import file_hash
from maskunet.rewards.base import PromptCache, RewardSpec

VERSIONS = {"2.1": "HPS_v2.1_compressed.pt", "2.0": "HPS_v2_compressed.pt"}  # the newest first


class HPSv2:
    """Cosine similarity, typically 0.2 to 0.35 for the published checkpoints, whose scores do not compare.

    Attributes:
        version: "2.1" or "2.0"; empty for one that was not published.
        sha256: of the file of its weights; empty of a network that was in none.
    """

    version = sha256 = ""

    def __init__(self, network: nn.Module, tokenizer: Any, device: torch.device, dtype: torch.dtype):
        self.network, self.tokenizer, self.device, self.dtype = network, tokenizer, device, dtype
        self.size, self.length = network.visual.image_size[0], network.context_length
        self._text = PromptCache(self._encode)

    def __call__(self, image: Tensor, prompts: list[str]) -> Tensor:
        """See `Reward`."""
        pixels = normalized(image, self.size, whole=True)
        seen = self.network.encode_image(pixels.to(self.dtype))
        told = torch.stack([self._text(prompt) for prompt in prompts])
        # In float32: bfloat16 would round a cosine of 0.3 to steps of 0.002.
        return F.cosine_similarity(seen.float(), told, dim=-1)

    def unread(self, prompt: str) -> str:
        """What of a prompt lies beyond its `length` tokens, of which two are the start and the end."""
        return self.tokenizer.decode(self.tokenizer.encode(prompt)[self.length - 2 :]).strip()

    def text_tower(self, prompt: str) -> list[nn.Module]:
        """What read this prompt, which is known now."""
        self._text(prompt)
        return [self.network.transformer, self.network.token_embedding]

    @torch.no_grad()
    def _encode(self, prompt: str) -> Tensor:
        self.network.to(self.device)  # its text tower may have been at rest
        return self.network.encode_text(self.tokenizer([prompt]).to(self.device))[0].float()


def load(folder: Path, device: torch.device, dtype: torch.dtype, version: str = "") -> HPSv2:
    """Load a published checkpoint or a small one in its format, frozen.

    Args:
        version: one of `VERSIONS`; empty for the small one or, without it, the newest that is here.

    Raises:
        ValueError: a file is missing, damaged or does not fit.
    """
    small, config = folder / "hpsv2", None
    if not version and (small / "open_clip_config.json").is_file():
        config = read_json(small / "open_clip_config.json").get("model_cfg")
        parts = [config, *(isinstance(config, dict) and [config.get("vision_cfg"), config.get("text_cfg")] or [])]
        if not all(isinstance(part, dict) for part in parts):
            raise ValueError(
                "“open_clip_config.json” has no `model_cfg` with the sizes of the CLIP network's two towers."
            )
        path = small / "model.safetensors"
    else:
        version = version or next(
            (v for v, file in VERSIONS.items() if (folder / file).is_file()), next(iter(VERSIONS))
        )
        path = folder / VERSIONS[version]
    state = read_checkpoint(path)
    network = clip.without_weights(config)
    tokenizer = clip.tokenizer(network.context_length)
    if network.vocab_size < tokenizer.vocab_size:
        raise ValueError(
            f"“{path.name}” knows {network.vocab_size:,} tokens and open_clip's tokenizer makes "
            f"{tokenizer.vocab_size:,}. Only checkpoints trained with that tokenizer can be read."
        )
    reward = HPSv2(load_frozen(network, state, path.name, device=device, dtype=dtype), tokenizer, device, dtype)
    reward.version, reward.sha256 = version, file_hash(path)
    return reward


def save(folder: Path, network: nn.Module, config: dict) -> None:
    """Write hpsv2/ under `folder`: open_clip's key names, fp16, and its config."""
    from safetensors.torch import save_file

    out = folder / "hpsv2"
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, out / "model.safetensors")
    (out / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}, indent=1), encoding="utf-8")


SPEC = RewardSpec(
    name="hpsv2",
    title="HPSv2",
    summary="How much people would prefer the picture for its prompt, a cosine.",
    license="Apache-2.0",
    source="Wu et al. 2023, Human Preference Score v2.1 and v2.0",
    weight=5.0,
    repo="xswu/HPSv2",
    files=(VERSIONS["2.1"],),
    versions=VERSIONS,
    download_gb=2.0,
    load=load,
)
