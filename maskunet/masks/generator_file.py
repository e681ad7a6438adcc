"""Trained mask generators on disk: safetensors with a JSON header, checked before use; no pickle."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskunet.encoders.reading import no_number
from maskunet.masks.generator import GeneratorSettings, MaskGenerator
from maskunet.masks.sites import find_sites
from maskunet.records.disk import trained_file

FORMAT = "maskunet-generator-1"
WHAT = "mask generator"
FLOATS = ("F32", "F16", "BF16", "F64")  # types of number, as safetensors calls them


def save(
    generator: MaskGenerator, path: Path, base: Mapping[str, Any], word: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Write a generator; see `trained_file.write`.

    Args:
        base: see `trained_file.header`; with the "token" of a word. word: its vectors, if one learned with the masks.
    """
    header = trained_file.header(base, {"settings": asdict(generator.settings)}, FORMAT)
    tensors = {name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}
    tensors |= {f"{trained_file.WORD}{name}": vectors for name, vectors in (word or {}).items()}
    trained_file.write(path, tensors, header)


def about(path: Path) -> dict[str, Any]:
    """What `save` was told, with the generator's "settings".

    Raises:
        ValueError: the file holds no mask generator, or is damaged.
    """
    return trained_file.about(path, FORMAT, WHAT)


def load(path: Path, unet: nn.Module, weights: Mapping[str, str] | None = None) -> MaskGenerator:
    """Read a generator that `save` wrote, on the CPU and in evaluation mode.

    Args:
        unet: the U-Net whose sites it is for.
        weights: hashes of the base model's files (`DiffusionModel.weights`), to tell this U-Net from
            another of its sizes; None does not compare them.

    Raises:
        ValueError: the file is damaged, or was made for another base model or variant; says which.
    """
    known = about(path)
    if weights is not None:
        trained_file.check_base(path, known, weights, WHAT)
    generator = _empty(path, known, unet)
    tensors = _tensors(path, {name: value.shape for name, value in generator.state_dict().items()})
    if not tensors:
        raise ValueError(
            f"The mask generator “{trained_file.called(path)}” does not fit this U-Net of {len(find_sites(unet))} sites as "
            f"“{generator.settings.variant}”: it was made for another model or variant. Train one for this model."
        )
    if no_number(tensors.items()):
        raise ValueError(
            f"The mask generator “{trained_file.called(path)}” holds values that are no numbers. Use an earlier checkpoint of it."
        )
    generator.load_state_dict(tensors)
    return generator.eval()


def _empty(path: Path, known: Mapping[str, Any], unet: nn.Module) -> MaskGenerator:
    try:
        return MaskGenerator(unet, GeneratorSettings(**known["settings"]))
    except Exception as error:
        raise ValueError(
            f"“{path.name}” holds no mask generator that this version knows, or its header is damaged. "
            "Train it again, or update this program."
        ) from error


def _tensors(path: Path, shapes: Mapping[str, torch.Size]) -> dict[str, torch.Tensor]:
    """The generator's tensors, if they have these names and shapes; otherwise nothing, and nothing is read.

    Raises:
        ValueError: they are of another type of number.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if not name.startswith(trained_file.WORD)]  # noqa: SIM118
        there = {name: file.get_slice(name) for name in names}
        if {name: tuple(each.get_shape()) for name, each in there.items()} != {n: tuple(s) for n, s in shapes.items()}:
            return {}
        if odd := {each.get_dtype() for each in there.values()} - set(FLOATS):
            raise ValueError(
                f"The mask generator “{trained_file.called(path)}” holds numbers of the type {min(odd)}; "
                f"{', '.join(FLOATS)} are read. Save it in one of these."
            )
        return {name: file.get_tensor(name) for name in there}
