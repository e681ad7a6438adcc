"""Small rewards with weights made from their names, the same here and in the upstream packages."""

from binascii import crc32
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

WORDS = [  # bert-base-uncased's special tokens are in these places too
    "[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]",
    *"abcdefghijklmnopqrstuvwxyz,", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"),
    "red", "blue", "cube", "sphere", "left", "of", "and", "two",
]  # fmt: skip
BLIP = {
    "image_size": 32, "patch_size": 8, "vision_width": 32, "vision_layers": 2, "vision_heads": 4,
    "text_width": 24, "text_layers": 2, "text_heads": 3, "text_intermediate": 48,
    "vocabulary": len(WORDS) + 2, "max_positions": 64, "head_widths": (1024, 128, 64, 16),
}  # fmt: skip
CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
PROMPTS = ("a red cube", "Two blue spheres, left of a zebra", "red and blue, " * 20 + "two cubes")


def made(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for the names and shapes of a state dict, exact in fp16; whole numbers are left alone."""
    return {name: _made(name, v.shape) if v.is_floating_point() else v for name, v in state.items()}


def _made(name: str, shape: torch.Size) -> Tensor:
    drawn = np.random.default_rng(crc32(name.encode())).random(tuple(shape)) - 0.5
    value = torch.from_numpy(np.asarray(drawn, np.float32))
    if "norm" in name.lower() or ".ln_" in name or name.startswith("ln_"):
        return ((1 + value if name.endswith("weight") else value) / 2).half().float()
    return (value * (0.5 if value.ndim < 2 else 6 / value[0].numel() ** 0.5)).half().float()


def picture(size: int = 32) -> Tensor:
    """A picture (1, 3, S, S) in [0, 1] of whole 255ths, different in every corner."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    colors = (7 * x + 3 * y, 5 * y + 40, x * y // 8)
    return (torch.stack(colors) % 256)[None].float() / 255


def write_small(folder: Path) -> Path:
    """image_reward/ and hpsv2/ in `folder`, as the training commands write them."""
    from maskunet.encoders import blip, clip
    from maskunet.rewards import hpsv2, image_reward

    network = blip.ImageRewardNetwork(BLIP)
    network.load_state_dict(blip.from_published(made(blip.to_published(network.state_dict()))))
    image_reward.save(folder, network, BLIP, WORDS)
    towers = clip.build(CLIP)
    towers.load_state_dict(made(towers.state_dict()))
    hpsv2.save(folder, towers, CLIP)
    return folder


def write_vocabulary(folder: Path) -> None:
    """vocab.txt."""
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
