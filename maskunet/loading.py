"""Find weights on this machine, choose a device, load; and download, but only when told to."""

import os
from pathlib import Path

import torch

from maskunet import rewards
from maskunet.models.base import (
    CONFIG_FILES,
    WEIGHT_FILES,
    DiffusionModel,
    ModelSpec,
    from_folder,
)


class MissingWeights(ValueError):
    """The weights are not on this machine; the message says their size and how to get them."""


def choose_device(name: str | None = None) -> torch.device:
    """The device of that name, or the best one here: CUDA, then MPS, then the CPU.

    Raises:
        ValueError: no such device on this machine; says which there are.
    """
    here = ["cpu"]
    if torch.backends.mps.is_available():
        here.insert(0, "mps")
    if torch.cuda.is_available():
        here[:0] = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name and name not in here:
        raise ValueError(f"There is no device “{name}” on this machine. It has: {', '.join(here)}.")
    return torch.device(name or here[0])


def choose_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on CUDA devices that have it, float16 on older ones, float32 elsewhere.

    The gradient goes through the VAE and the U-Net, where float16 overflows at 65,504 and
    underflows without loss scaling; bfloat16 has float32's range at the same size.
    """
    if device.type != "cuda":
        return torch.float32
    with torch.cuda.device(device):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def device_name(device: torch.device) -> str:
    """The device in words, such as "NVIDIA H200, 139 GB" or "CPU, 2 cores"."""
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        return f"{about.name}, {about.total_memory / 2**30:.0f} GB"
    if device.type == "mps":
        return "Apple GPU"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU, {cores} core{'s' if cores != 1 else ''}"


def find(spec: ModelSpec, weights: Path | None = None) -> Path:
    """The folder of the model's weights on this machine; never downloads.

    Args:
        spec: the model.
        weights: look here instead: the model's folder, or a folder that holds it under its name.

    Raises:
        MissingWeights: they are not here.
        ValueError: `weights` holds no such model.
    """
    if weights is not None:
        for folder in (weights / spec.name, weights):
            if (folder / "unet" / CONFIG_FILES["unet"]).is_file():
                return folder
        raise ValueError(
            f"“{weights.name}” holds no Stable Diffusion model. --weights takes a folder in "
            "diffusers format, the one that holds model_index.json."
        )
    if spec.folder is not None:
        if (spec.folder / "unet" / CONFIG_FILES["unet"]).is_file():
            return spec.folder
        raise MissingWeights(f"The weights of {spec.title} are not in this copy of the project.")
    if not spec.repo:
        raise MissingWeights("Start with --weights DIR to use a folder of your own.")
    folder = _cached(spec.repo, spec.revision)
    if folder is None:
        raise MissingWeights(
            f"{spec.title} is not on this machine ({spec.download_gb:.2f} GB). "
            f"To download it: python -m maskunet download {spec.name}"
        )
    return folder


def find_rewards(spec: ModelSpec, weights: Path | None = None) -> Path:
    """The folder of the rewards for a model: its own, or the public ones that were downloaded.

    Raises:
        MissingWeights: they are not here.
    """
    folder = spec.rewards or (weights or Path()) / "rewards"
    if spec.rewards is None and (weights is None or not folder.is_dir()):
        folder = rewards_place()
    lacking = [
        reward
        for name, reward in rewards.SPECS.items()
        if not (folder / name).is_dir() and not (folder / reward.files[0]).is_file()
    ]
    if lacking:
        names = " and ".join(reward.title for reward in lacking)
        if spec.rewards is not None:
            raise MissingWeights(f"The rewards {names} are not in this copy of the project.")
        size = sum(reward.download_gb for reward in lacking)
        raise MissingWeights(
            f"The rewards {names} are not on this machine ({size:.1f} GB). "
            "To download them: python -m maskunet download rewards"
        )
    return folder


def rewards_place() -> Path:
    """Where downloaded rewards lie, beside the Hugging Face cache."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "maskunet" / "rewards"


def load(
    spec: ModelSpec, folder: Path, device: torch.device, dtype: torch.dtype | None = None
) -> DiffusionModel:
    """Load a base model from its folder, frozen; `dtype` None takes the device's best.

    Raises:
        ValueError: as `models.base.from_folder`.
    """
    return from_folder(
        folder,
        name=spec.name,
        guidance=spec.guidance,
        device=device,
        dtype=dtype or choose_dtype(device),
        tiny_decoder=_snapshot(spec.tiny_decoder) if spec.tiny_decoder else None,
    )


def _snapshot(repo: str, revision: str = "") -> Path | None:
    """The repository's folder in the Hugging Face cache, as far as it has arrived."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision or None, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _cached(repo: str, revision: str) -> Path | None:
    """The repository's folder in the Hugging Face cache, if all of the model has arrived."""
    folder = _snapshot(repo, revision)
    if folder is None:
        return None
    configs = all((folder / part / file).is_file() for part, file in CONFIG_FILES.items())
    weights = (any((folder / p).glob(f"{f}*.safetensors")) for p, f in WEIGHT_FILES.items())
    return folder if configs and all(weights) else None


# What a Stable Diffusion repository must give: no safety checker, no pickles, no further copies.
MODEL_FILES = (
    "model_index.json",
    *(f"{part}/{file}.safetensors" for part, file in WEIGHT_FILES.items()),
    *(f"{part}/{file}" for part, file in CONFIG_FILES.items()),
    "tokenizer/*.json",
    "tokenizer/merges.txt",
)
