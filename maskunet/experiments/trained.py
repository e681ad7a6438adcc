"""A trained file in an experiment: offered to its model under a name, and what asks for it."""

from pathlib import Path
from typing import Any

from maskunet.methods import method_for
from maskunet.models.base import DiffusionModel


def offer(model: DiffusionModel, kind: str, name: str, part: Path) -> None:
    """Add the trained file to the model's, and let go of the one in memory."""
    model.cache.clear()
    model.trained.setdefault(kind, {})[name] = part


def user(kind: str, name: str) -> tuple[str, dict[str, Any]]:
    """The method that uses trained files of this kind, and the setting that names this one.

    Raises:
        ValueError: no method does.
    """
    spec = method_for(kind)
    return spec.name, {next(iter(spec.takes)): name}
