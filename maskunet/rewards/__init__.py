"""One reward per file: from a picture and a prompt to one differentiable number; higher is better.

from maskunet.rewards import load

reward = load("hpsv2")  # or image_reward, pickscore, clip_h
scores = reward(pictures, prompts)
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from maskunet import machine
from maskunet.plugins import discover, named
from maskunet.records.disk.hub import MissingWeights, rewards_place, snapshot
from maskunet.rewards.base import Reward, RewardSpec, Scorer, WeightedRewards

_FOUND = discover(__name__)
SPECS = {name: spec for name, spec in _FOUND.items() if not spec.judge}  # what methods optimize and runs are scored by
JUDGES = {name: spec for name, spec in _FOUND.items() if spec.judge}  # held out, each only where it is asked for


def load(
    name: str,
    *,
    folder: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    batch: int = 16,
) -> Scorer:
    """Load a reward of this machine, frozen; never downloads.

    Args:
        name: of `SPECS` or `JUDGES`, such as "hpsv2", whose newest checkpoint is taken; "hpsv2-2.0" names one.
        folder: of its files; None for what `python -m maskunet download NAME` brought.
        device: None for the best one here. dtype: of the network; scores are float32.
        batch: pictures at once.

    Raises:
        ValueError: no such reward or device, or its files are missing or damaged; says what to do.
    """
    if not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be a whole number from 1, not {batch!r:.20}.")
    place = machine.choose_device(None if device is None else str(device))
    return Scorer(name, _read(name, None if folder is None else Path(folder), place, dtype), place, batch)


def spec_of(name: str) -> tuple[RewardSpec, str]:
    """The reward of a name such as "hpsv2" or "hpsv2-2.0", and the version that the name says, or nothing.

    Raises:
        ValueError: there is none; says which there are.
    """
    first, _, version = name.partition("-")
    if version and first in _FOUND and version in _FOUND[first].versions:
        return _FOUND[first], version
    versions = {f"{spec.name}-{version}": spec for spec in _FOUND.values() for version in spec.versions}
    return named({**_FOUND, **versions}, name, "reward"), ""


def located(spec: RewardSpec, version: str = "") -> Path | None:
    """Where its files lie on this machine: a folder of rewards or, of a judge, perhaps a folder of its own."""
    place = rewards_place()
    if version:
        return place if (place / spec.versions[version]).is_file() else None
    if not spec.judge or (place / spec.name).is_dir():
        return place if spec.is_in(place) else None
    return snapshot(spec.repo, file=spec.files[0])


def load_rewards(folders: Path | Mapping[str, Path], device: torch.device, dtype: torch.dtype) -> WeightedRewards:
    """Load the rewards of a folder, or each from its own, weighted as their SPECs say.

    Args:
        folders: one with all that are there, or by name.

    Raises:
        ValueError: a checkpoint is missing or damaged; says which and what to do.
    """
    if isinstance(folders, Path):
        folders = {name: folders for name, spec in SPECS.items() if spec.is_in(folders)} or dict.fromkeys(
            SPECS, folders
        )
    specs = {name: SPECS[name] for name in folders}
    return WeightedRewards(
        {name: (spec.load(folders[name], device, dtype), spec.weight) for name, spec in specs.items()}
    )


def judged_by(rewards: WeightedRewards, name: str | None, device: torch.device, dtype: torch.dtype) -> WeightedRewards:
    """The rewards with the judge of that name beside them, at weight 0; as they are if it is none or among them.

    Raises:
        ValueError: the judge's files are missing or damaged; says what to do.
    """
    if name not in JUDGES or name in rewards.weights:
        return rewards
    return WeightedRewards({**rewards.parts, name: (_read(name, None, device, dtype), 0.0)})


def _read(name: str, folder: Path | None, device: torch.device, dtype: torch.dtype) -> Reward:
    spec, version = spec_of(name)
    place = folder or located(spec, version)
    if place is None:
        raise MissingWeights(
            f"{spec.title} is not on this machine ({spec.download_gb:.1f} GB). "
            f"To download it: python -m maskunet download {name}"
        )
    return spec.load(place, device, dtype, **({"version": version} if version else {}))
