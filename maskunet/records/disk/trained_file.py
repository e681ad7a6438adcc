"""What every file of trained weights has in common: a JSON header that says what they were trained on."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maskunet.records.disk import whole

FORM = re.compile(r"maskunet-(\w+)-\d+")  # the header's entry: the kind, and the format's version
LORA = "lora/"  # begins the name of a LoRA file among a model's weights
EMBEDDING = "embedding"  # a kind that is put on a model, and no method's
TRAINED = "trained"  # what a training calls its file, in a folder of its own
WORD = "word/"  # begins the names of a word's vectors in a file of masks that learned with it
PICTURES = "pictures"  # what a training learns from that optimizes no reward


def called(path: Path) -> str:
    """The name that a file goes by: its own, or its folder's where a training left it."""
    return path.parent.name if path.stem == TRAINED else path.stem


def write(path: Path, tensors: Mapping[str, Any], header: Mapping[str, str]) -> None:
    """Write safetensors; a file that was there stays whole until the new one is.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors.torch import save_file

    with whole.file(path) as fresh:
        save_file(dict(tensors), fresh, metadata=dict(header))


def header(base: Mapping[str, Any], more: Mapping[str, Any], form: str) -> dict[str, str]:
    """The header's entry of this form, its keys sorted so that bytes repeat.

    Args:
        base: "model" and "weights", the base model's name and hashes (`DiffusionModel.weights`), and
            whatever else JSON can hold, such as the number of training steps.

    Raises:
        KeyError: `base` does not name the base model.
    """
    known = {**base, "model": base["model"], "weights": of_unet(base["weights"]), **more}
    return {form: json.dumps(known, sort_keys=True)}


def about(path: Path, form: str, what: str) -> dict[str, Any]:
    """What the header says.

    Raises:
        ValueError: the file has no such header, or is damaged. `what` it should be is named.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            known = json.loads((file.metadata() or {})[form])
        return {**known, "model": str(known["model"]), "weights": dict(known["weights"])}
    except Exception as error:
        raise ValueError(
            f"“{path.name}” holds no {what} that can be used: it is something else, or it was cut "
            "off. Choose another one, or train it again."
        ) from error


def kinds(path: Path) -> tuple[str, ...]:
    """What a file holds, by its header: "generator" of maskunet-generator-1; nothing, if it was not trained here.

    What learned from a reward is of two kinds, such as "generator" and "generator_from_reward"; masks that learned
    with a word are a "generator" and an "embedding".
    """
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            form = next(found for entry in file.metadata() or {} if (found := FORM.fullmatch(entry)))
        known = about(path, form[0], "weights")
    except Exception:  # another file, or one that was cut off
        return ()
    if form[1] != EMBEDDING and "token" in known:
        return form[1], EMBEDDING
    learned = known.get("learns_from", PICTURES) != PICTURES
    return (form[1], f"{form[1]}_from_reward") if learned else (form[1],)


def by_kind(files: Iterable[tuple[str, Path]]) -> dict[str, dict[str, Path]]:
    """Trained files by their kind and name; others are left out."""
    found: dict[str, dict[str, Path]] = {}
    for name, path in files:
        for kind in kinds(path):
            found.setdefault(kind, {})[name] = path
    return found


def check_base(path: Path, known: Mapping[str, Any], weights: Mapping[str, str], what: str) -> None:
    """Refuse what was trained on another base model.

    Args:
        weights: hashes of the base model's files (`DiffusionModel.weights`).

    Raises:
        ValueError: it was; says which.
    """
    if not fits(known["weights"], weights):
        lora = [name.removeprefix(LORA) for name in known["weights"] if name.startswith(LORA)]
        under = f" under the LoRA {' and '.join(lora)}" if lora else ""
        raise ValueError(
            f"The {what} “{called(path)}” was trained for other weights than these, of {known['model']}{under}, "
            "so it means nothing here. Choose that model, or train it for this one."
        )


def fits(made_for: Mapping[str, str], weights: Mapping[str, str]) -> bool:
    """Whether what was made for a model fits another: the same U-Net, or the base of the one with a LoRA on it.

    Args:
        made_for, weights: hashes of both models' files (`DiffusionModel.weights`).
    """
    before, here = of_unet(made_for), of_unet(weights)
    return before in (here, {name: value for name, value in here.items() if not name.startswith(LORA)})


def of_unet(weights: Mapping[str, str]) -> dict[str, str]:
    """The U-Net's files and the LoRA on it: what was trained on it means nothing on another, but does not care for the VAE."""
    return {name: value for name, value in weights.items() if name.startswith(("unet/", LORA))}
