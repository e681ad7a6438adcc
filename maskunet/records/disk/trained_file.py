"""What every file of trained weights has in common: a JSON header that says what they were trained on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskunet.records.disk import whole


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


def is_one(path: Path, form: str) -> bool:
    """Whether a file has a header of this form."""
    try:
        about(path, form, "weights")
    except ValueError:
        return False
    return True


def check_base(path: Path, known: Mapping[str, Any], weights: Mapping[str, str], what: str) -> None:
    """Refuse what was trained on another base model.

    Args:
        weights: hashes of the base model's files (`DiffusionModel.weights`).

    Raises:
        ValueError: it was; says which.
    """
    if known["weights"] != of_unet(weights):
        raise ValueError(
            f"The {what} “{path.stem}” was trained for other weights than these, of {known['model']}, "
            "so it means nothing here. Choose that model, or train it for this one."
        )


def of_unet(weights: Mapping[str, str]) -> dict[str, str]:
    """The U-Net's files: what was trained on it means nothing on another, but does not care for the VAE."""
    return {name: value for name, value in weights.items() if name.startswith("unet/")}
