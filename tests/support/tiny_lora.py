"""Small LoRA files and embeddings with random weights, under the names that programs give them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

LAYERS = {  # of tests.support.tiny's U-Net and text encoder, each with a rank of its own
    "unet": {
        "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k": 2,
        "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0": 3,
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v": 2,
        "down_blocks.0.attentions.0.proj_in": 2,
        "down_blocks.0.resnets.0.conv1": 4,
    },
    "text_encoder": {"encoder.layers.0.self_attn.q_proj": 2, "encoder.layers.1.mlp.fc1": 1},
}
ALPHA = {2: 1.0, 3: 3.0}  # by rank; without one it is the rank


def factors(networks: Mapping[str, torch.nn.Module], seed: int = 0, layers: Mapping = LAYERS) -> dict:
    """(down, up, alpha) by network and layer; a convolution's are a kernel and 1 x 1."""
    stream, found = torch.Generator().manual_seed(seed), {}
    for network, ranks in layers.items():
        for layer, rank in ranks.items():
            inside = "text_model." if hasattr(networks[network], "text_model") else ""  # of XL's second encoder
            shape = networks[network].get_submodule(inside + layer).weight.shape
            down = torch.randn(rank, *shape[1:], generator=stream) * 0.2
            up = torch.randn(shape[0], rank, *(1,) * (len(shape) - 2), generator=stream) * 0.2
            found[network, layer] = (down, up, ALPHA.get(rank))
    return found


def kohya(found: dict, original=None) -> dict[str, torch.Tensor]:
    """As kohya's trainers write them; `original` gives the U-Net's layers their names of single files."""
    tensors = {}
    for (network, layer), (down, up, alpha) in found.items():
        path = (original or {}).get(layer, layer)
        second = any(network == "text_encoder_2" for network, _ in found)
        prefix = (
            "lora_unet_"
            if network == "unet"
            else f"lora_te{(2 if network[-1] == '2' else 1) if second else ''}_text_model_"
        )
        stem = prefix + path.replace(".", "_")
        tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        if alpha is not None:
            tensors[f"{stem}.alpha"] = torch.tensor(alpha)
    return tensors


def diffusers(found: dict, down: str = "lora_A", up: str = "lora_B") -> dict[str, torch.Tensor]:
    """As diffusers' and peft's trainers write them, the scale in the second factor, as alpha is the rank."""
    tensors = {}
    for (network, layer), (a, b, alpha) in found.items():
        stem = f"unet.{layer}" if network == "unet" else f"{network}.text_model.{layer}"
        scale = 1 if alpha is None else alpha / len(a)
        tensors |= {f"{stem}.{down}.weight": a, f"{stem}.{up}.weight": b * scale}
    return tensors


def write(path: Path, tensors: dict, **metadata: str) -> Path:
    """A file of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous() for name, value in tensors.items()}, path, metadata={"format": "pt", **metadata}
    )
    return path


def embedding(path: Path, vectors: int = 1, width: int = 32, name: str = "<cat-toy>", seed: int = 0) -> Path:
    """One tensor, called as the layout has it."""
    stream = torch.Generator().manual_seed(seed)
    return write(path, {name: torch.randn(vectors, width, generator=stream)})
