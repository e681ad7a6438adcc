"""Where weights lie on this machine, and a base model read from there; never downloads."""

from dataclasses import replace
from pathlib import Path

import torch

from maskunet import rewards
from maskunet.library.own_models import is_folder
from maskunet.machine import choose_dtype
from maskunet.models.base import DiffusionModel, ModelSpec, from_folder, single_file
from maskunet.models.base.reading import (
    CONFIG_FILES,
    SECOND_CONFIGS,
    SECOND_WEIGHTS,
    WEIGHT_FILES,
    config_files,
    refuse_damaged,
    weight_files,
)
from maskunet.records.disk.hub import MissingWeights, rewards_place, snapshot


def model_folder(spec: ModelSpec, weights: Path | None = None) -> Path:
    """The folder of the model's weights on this machine, or its single file; never downloads.

    Args:
        spec: the model.
        weights: look here instead: the model's file or folder, or a folder that holds one under its name.

    Raises:
        MissingWeights: they are not here.
        ValueError: `weights` holds no such model, or it cannot be read.
    """
    if weights is not None:
        if weights.is_file():
            single_file.kind_of(weights)
            return weights
        for folder in (weights / spec.name, weights):
            if is_folder(folder):
                refuse_damaged(folder)
                return folder
        raise ValueError(
            f"“{weights.name}” holds no Stable Diffusion model. --weights takes a .safetensors file or a folder in "
            "diffusers format, the one that holds model_index.json."
        )
    if spec.refused:
        raise ValueError(spec.refused)
    if spec.folder is not None:
        if is_folder(spec.folder) or spec.folder.is_file():
            return spec.folder
        if not spec.embedded:
            raise MissingWeights(f"“{spec.folder.name}” is gone from the folder of models. Put it back.")
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


def reward_folders(spec: ModelSpec, weights: Path | None = None) -> dict[str, Path]:
    """The folder of each reward for a model: its own, or the public ones that were downloaded.

    Of its own there need not be every reward that others have.

    Raises:
        MissingWeights: they are not here.
    """
    every = rewards.SPECS.values()
    wanted = [reward for reward in every if reward.files]
    folders = spec.rewards or ((weights or Path()) / "rewards",)
    if not spec.rewards and (weights is None or not any(reward.is_in(folders[0]) for reward in wanted)):
        folders = (rewards_place(),)
    found = {reward.name: folder for reward in every for folder in reversed(folders) if reward.is_in(folder)}
    lacking = [reward for reward in wanted if reward.name not in found]
    if lacking and (not spec.rewards or lacking == wanted):
        names = " and ".join(reward.title for reward in lacking)
        if spec.rewards:
            raise MissingWeights(f"The rewards {names} are not in this copy of the project.")
        size = sum(reward.download_gb for reward in lacking)
        raise MissingWeights(
            f"The rewards {names} are not on this machine ({size:.1f} GB). "
            "To download them: python -m maskunet download rewards"
        )
    return found


def load_model(spec: ModelSpec, folder: Path, device: torch.device, dtype: torch.dtype | None = None) -> DiffusionModel:
    """Load a base model from its folder or file, frozen; `dtype` None takes the device's best.

    Raises:
        ValueError: as `models.base.from_folder` or `single_file.from_file`.
    """
    read = single_file.from_file if folder.is_file() else from_folder
    model = read(
        folder,
        name=spec.name,
        guidance=spec.guidance,
        steps=spec.steps,
        few_steps=spec.few_steps,
        device=device,
        dtype=dtype or choose_dtype(device),
        tiny_decoder=snapshot(spec.tiny_decoder) if spec.tiny_decoder else None,
        vae=snapshot(spec.vae, file=VAE_FILES[-1]) if spec.vae else None,
    )
    return replace(model, judge=spec.judge, video_times=spec.video_times)


def _cached(repo: str, revision: str) -> Path | None:
    """The repository's folder in the Hugging Face cache, if all of the model has arrived."""
    folder = snapshot(repo, revision)
    if folder is None:
        return None
    configs = all((folder / part / file).is_file() for part, file in config_files(folder).items())
    weights = (any((folder / p).glob(f"{f}*.safetensors")) for p, f in weight_files(folder).items())
    return folder if configs and all(weights) else None


def model_files(spec: ModelSpec) -> tuple[str, ...]:
    """What its repository must give: no safety checker, no pickles, no further copies."""
    ending = f".{spec.variant}.safetensors" if spec.variant else ".safetensors"
    return (
        "model_index.json",
        *(f"{part}/{file}{ending}" for part, file in {**WEIGHT_FILES, **SECOND_WEIGHTS}.items()),
        *(f"{part}/{file}" for part, file in {**CONFIG_FILES, **SECOND_CONFIGS}.items()),
        *(f"{part}/{file}" for part in ("tokenizer", "tokenizer_2") for file in ("*.json", "merges.txt")),
    )


VAE_FILES = ("config.json", "diffusion_pytorch_model.safetensors")  # of a VAE's own repository
