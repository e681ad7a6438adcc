"""What the commands share that let the tabletop's checker judge pictures: the models, and what identifies them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskunet.library import library
from maskunet.machine import device_of
from maskunet.records.disk.hub import file_hash
from maskunet.rewards import JUDGES, SPECS, judged_by, located
from maskunet.tabletop import checker, inspector
from maskunet.tabletop.place import CHECKER, INSPECTOR


def load(
    model: str, weights: Path | None = None, device: str | None = None, held_out: str | None = None, **added: Any
) -> tuple[library.Loaded, dict[str, Any]]:
    """Load a base model, its rewards, the checker and the inspector; see `Library` for what the other arguments may be.

    Args:
        held_out: a judge of `rewards.JUDGES` that stands beside the rewards; any other name adds nothing.

    Returns:
        All of it, and what identifies it: names, hashes, the device.

    Raises:
        ValueError: weights are missing or damaged; says what to do.
    """
    found = library.Library(model, weights, device_of(device), **added)
    _, folders = found.find(found.default)  # nothing can be judged without rewards; told before the model is read
    loaded = found.load(found.default)
    judges = judged_by(loaded.rewards, held_out, loaded.model.device, loaded.model.dtype)
    about = {
        "model": loaded.model.name,
        "weights": dict(loaded.model.weights),
        "judges": {**_hashes(folders), **_held_out(held_out)},
        "device": found.device.type,
    }
    return replace(loaded, rewards=judges, checker=checker.load(CHECKER), inspector=inspector.load(INSPECTOR)), about


def _hashes(rewards: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of the weights that judge the pictures: the embedded rewards' or the public ones', the checker's."""
    folders = (CHECKER, *(folder / name for name, folder in rewards.items()))
    files = [path for folder in folders for path in folder.glob("*.safetensors")]
    files += [path for name, place in rewards.items() for file in SPECS[name].files if (path := place / file).is_file()]
    return {f"{path.parent.name}/{path.name}": file_hash(path) for path in sorted(files)}


def _held_out(name: str | None) -> dict[str, str]:
    if name not in JUDGES:
        return {}
    spec = JUDGES[name]
    folder = located(spec)
    folder = folder / name if (folder / name).is_dir() else folder
    return {f"{name}/{spec.files[0]}": file_hash(folder / spec.files[0])}
