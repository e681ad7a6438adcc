"""A library of one small random model with small rewards, for a Studio in this process or in another."""

from pathlib import Path

from maskunet.library.library import Library
from maskunet.models.base import ModelSpec
from tests.support.tiny import tiny_sd_folder
from tests.support.tiny_rewards import write_small

STEPS = 5  # of a picture where nobody asks for more or less


def write(folder: Path) -> Path:
    """The files of the model, and of the rewards below them, as `--weights` takes them."""
    tiny_sd_folder(folder)
    write_small(folder / "rewards")
    return folder


def read(folder: Path) -> Library:
    """The library of what `write` wrote."""
    spec = ModelSpec(
        name="tiny",
        title="Tiny random",
        summary="Random weights.",
        license="none",
        guidance=3.0,
        steps=STEPS,
        folder=folder,
        rewards=(folder / "rewards",),
        vocabulary={"color": ("red", "blue")},
    )
    return Library("tiny", device="cpu", specs={"tiny": spec})
