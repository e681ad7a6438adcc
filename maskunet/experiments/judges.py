"""What the commands share that judge pictures: the models, rewards and the tabletop's checker, and what identifies them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskunet.library import library
from maskunet.library.library import Loaded
from maskunet.machine import device_of
from maskunet.records.disk.hub import file_hash
from maskunet.rewards import JUDGES, SPECS, judged_by, located
from maskunet.tabletop import checker, inspector
from maskunet.tabletop.place import CHECKER, INSPECTOR


def load(
    model: str, weights: Path | None = None, device: str | None = None, held_out: str | None = None, **added: Any
) -> tuple[Loaded, dict[str, Any]]:
    """Load a base model, its rewards, the checker and the inspector; see `Library` for what the other arguments may be.

    The last two know tabletop's renders only, and stay away where the model makes other pictures.

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
        "judges": {**_hashes(folders, checked=loaded.model.judge is not None), **_held_out(held_out)},
        "device": found.device.type,
    }
    return with_eyes(replace(loaded, rewards=judges)), about


def with_eyes(loaded: Loaded) -> Loaded:
    """With the checker and the inspector, if the model's pictures are of the kind that they know."""
    if loaded.model.judge is None:
        return loaded
    return replace(loaded, checker=checker.load(CHECKER), inspector=inspector.load(INSPECTOR))


def check_eyes(loaded: Loaded, what: str) -> None:
    """See that the checker knows this model's pictures.

    Args:
        what: the study that says nothing without it.

    Raises:
        ValueError: it does not; says which models it knows.
    """
    if loaded.checker is None:
        raise ValueError(
            f"{what} asks the checker, which knows tabletop's renders only, not what {loaded.model.name} makes. Give "
            "--model tabletop or tabletop_web; --weights with it for one trained onwards from these."
        )


def _hashes(rewards: Mapping[str, Path], checked: bool) -> dict[str, str]:
    """SHA-256 of the weights that judge the pictures: the embedded rewards' or the public ones', the checker's."""
    folders = (*([CHECKER] if checked else []), *(folder / name for name, folder in rewards.items()))
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
