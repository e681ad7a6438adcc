"""What the commands share that let the tabletop's checker judge pictures: the models, and what identifies them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskunet.library import library
from maskunet.machine import device_of
from maskunet.records.disk.hub import file_hash
from maskunet.rewards import SPECS
from maskunet.tabletop import checker
from maskunet.tabletop.place import CHECKER


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A base model with its rewards and the checker, and `about`: their names and hashes, the device."""

    loaded: library.Loaded
    checker: Any
    about: dict[str, Any]


def load(model: str, weights: Path | None = None, device: str | None = None) -> Judged:
    """Load a base model, its rewards and the checker; see `Library` for what the three may be.

    Raises:
        ValueError: weights are missing or damaged; says what to do.
    """
    found = library.Library(model, weights, device_of(device))
    loaded = found.load(found.default)
    about = {
        "model": loaded.model.name, "weights": dict(loaded.model.weights),
        "judges": _hashes(found.find(found.default)[1]), "device": found.device.type,
    }  # fmt: skip
    return Judged(loaded=loaded, checker=checker.load(CHECKER), about=about)


def _hashes(rewards: Path) -> dict[str, str]:
    """SHA-256 of the weights that judge the pictures: the embedded rewards' or the public ones', the checker's."""
    folders = (CHECKER, *(rewards / name for name in SPECS))
    files = [path for folder in folders for path in folder.glob("*.safetensors")]
    files += [path for spec in SPECS.values() for name in spec.files if (path := rewards / name).is_file()]
    return {f"{path.parent.name}/{path.name}": file_hash(path) for path in sorted(files)}
