"""What a training leaves on disk: one checkpoint, whole at any moment, the trained part, and a log."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskunet.models.base import DiffusionModel
from maskunet.records.disk import trained_file, whole
from maskunet.records.training import TrainEvent
from maskunet.training.recipes.base import RecipeSpec, Settings

STATE, PART, ABOUT, LOG = "state.pt", "trained.safetensors", "training.json", "log.csv"
# Settings that may change without changing the curve; the length only where the learning rate is constant.
FREE = ("every", "keep_each", "micro_batch")
MAY_CHANGE = {"constant": ("steps", "epochs", *FREE), "cosine": FREE}


def identity(model: DiffusionModel, spec: RecipeSpec, settings: Settings, about: Mapping[str, Any]) -> dict[str, Any]:
    """What a resumed training must share with the one it goes on from."""
    weights = dict(model.weights)
    return {"recipe": spec.name, "model": model.name, "weights": weights, **about, "settings": asdict(settings)}


def claim(out: Path) -> None:
    """Make the folder for a new training, without what a killed one left.

    Raises:
        ValueError: another training is in it, or what would be lost.
    """
    if (out / STATE).exists():
        raise ValueError(f"“{out.name}” holds a training. Go on with --resume, or give another folder.")
    if (out / PART).exists():
        raise ValueError(f"“{out.name}” holds a trained part already. Give another folder.")
    if (out / LOG).exists() and not _is_ours(out / LOG):
        raise ValueError(f"“{out.name}” holds a {LOG} of something else. Give another folder.")
    out.mkdir(parents=True, exist_ok=True)
    whole.tidy(out)
    (out / LOG).unlink(missing_ok=True)


def save(
    out: Path, state: Mapping[str, Any], identity: Mapping[str, Any], save_part: Callable[[Path], None] | None
) -> None:
    """Write the checkpoint and the trained part beside the old ones, then put them in their place.

    Args:
        identity: what `load` compares; what else is in it is told to readers of the file.
        save_part: writes the trained part to a file; None leaves the one that is there.

    Raises:
        OSError: the disk is full, for example; the old checkpoint is then as it was.
    """
    names = (PART, ABOUT, STATE) if save_part else (ABOUT, STATE)
    with whole.part(out) as place:
        torch.save(dict(state), place / STATE)
        if save_part:
            save_part(place / PART)
        (place / ABOUT).write_text(json.dumps(identity, indent=1), encoding="utf-8")
        for name in names:
            (place / name).replace(out / name)


def keep_part(out: Path, step: int, save_part: Callable[[Path], None]) -> None:
    """Keep this checkpoint's trained part, whatever comes later."""
    with whole.file(out / f"trained-{step}.safetensors") as fresh:
        save_part(fresh)


def parts(out: Path) -> list[tuple[int, Path]]:
    """The trained parts that were kept, by their step, the earliest first."""
    return sorted((int(path.stem.partition("-")[2]), path) for path in out.glob("trained-*.safetensors"))


def load(out: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Read the checkpoint of a training with this identity.

    Raises:
        ValueError: there is none, it is damaged, or a setting differs; names the first that does.
    """
    try:
        before = json.loads((out / ABOUT).read_text(encoding="utf-8"))
        state = torch.load(out / STATE, weights_only=True, map_location="cpu")
    except FileNotFoundError as error:
        raise ValueError(f"“{out.name}” holds no training to go on with.") from error
    except Exception as error:
        raise ValueError(f"The checkpoint in “{out.name}” is damaged. Begin anew in another folder.") from error
    _agree(before, json.loads(json.dumps(identity)), out.name)
    return state


def _agree(before: Mapping[str, Any], now: Mapping[str, Any], name: str) -> None:
    there = before.get("weights", {})
    if there == trained_file.of_unet(there):  # a training of before all weights were named
        now = {**now, "weights": trained_file.of_unet(now.get("weights", {}))}
        before = {**before, "weights": there}
    pairs = {key: (before.get(key), now.get(key)) for key in now if key != "settings"}
    pairs |= {
        key: (before.get("settings", {}).get(key), value)
        for key, value in now["settings"].items()
        if key not in MAY_CHANGE[now["settings"]["course"]]
    }
    for key, (there, here) in pairs.items():
        if there != here:
            raise ValueError(
                f"“{name}” was trained with another {key}: {there!r}, not {here!r}. Resume with the same one."
            )


def _is_ours(log: Path) -> bool:
    """Whether a log is a training's: one that was killed before its first checkpoint leaves nothing else."""
    with log.open(encoding="utf-8", errors="replace") as file:
        return file.readline(200).startswith("step,loss,")


def write_log(out: Path, event: TrainEvent) -> None:
    """Add the step's line to log.csv; every step has one."""
    row = {
        "step": event.step,
        "loss": event.loss,
        "learning_rate": event.learning_rate,
        "seconds": event.seconds,
        "skipped": sum(event.skipped.values()),
        "figures": json.dumps(dict(event.figures)),
    }
    path = out / LOG
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def last_logged(out: Path) -> int:
    """The last step in the log of a training; 0 if there is none."""
    path = out / LOG
    if not path.exists():
        return 0
    with path.open(newline="", encoding="utf-8") as file:
        return max((int(row["step"]) for row in csv.DictReader(file)), default=0)


def cut_log(out: Path, step: int) -> None:
    """Forget what came after this step: a training that was killed goes on from its checkpoint."""
    whole.tidy(out)
    path = out / LOG
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in file if line.endswith("\n")]
        with whole.file(path) as fresh, fresh.open("w", newline="", encoding="utf-8") as file:
            file.writelines(lines[: 1 + step])


@contextmanager
def swapped(here: Sequence[Tensor], others: Sequence[Tensor]) -> Iterator[None]:
    """Other values in these parameters for a while."""
    kept = [p.detach().clone() for p in here]
    for p, other in zip(here, others, strict=True):
        p.data.copy_(other)
    try:
        yield
    finally:
        for p, value in zip(here, kept, strict=True):
            p.data.copy_(value)
