"""What the commands share that let the tabletop's checker judge pictures: the models, and what identifies them."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import maskunet.tabletop
from maskunet import library
from maskunet.models.base import file_hash
from maskunet.processes import device_of
from maskunet.rewards import SPECS
from maskunet.tabletop import checker

CHECKER = Path(maskunet.tabletop.__file__).parent / "weights" / "checker"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A base model with its rewards and the checker, and `about`: their names and hashes, the device."""

    loaded: library.Loaded
    checker: Any
    about: dict[str, Any]


def load(args: argparse.Namespace) -> Judged:
    """Load what --model, --weights and --device ask for.

    Raises:
        ValueError: weights are missing or damaged; says what to do.
    """
    found = library.Library(args.model, args.weights, device_of(args.device))
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
