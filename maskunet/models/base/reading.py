"""Read one network of a model's folder, checked."""

import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from maskunet.encoders.reading import no_number

WEIGHT_FILES = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
CONFIG_FILES = {
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "tokenizer": "tokenizer_config.json",
    "scheduler": "scheduler_config.json",
}
# What Stable Diffusion XL has besides.
SECOND_WEIGHTS = {"text_encoder_2": "model"}
SECOND_CONFIGS = {"text_encoder_2": "config.json", "tokenizer_2": "tokenizer_config.json"}
# What follows a weight file's name: nothing, a variant as in .fp16.safetensors, or the number of a shard, too.
_WEIGHTS = re.compile(r"(?:\.(?P<whole>\w+))?(?:-\d+-of-\d+)?(?:\.(?P<sharded>\w+))?\.safetensors")
_POINTER = b"version https://git-lfs"
TINY_DECODER_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
# While they load, diffusers and transformers put functions of their own into torch, for all threads. Two loads at
# once could take back the wrong ones, and every network made from then on would be empty.
_LOADING = threading.Lock()


def read_network(what: str, path: Path, kind: Any, options: Mapping[str, Any]) -> Any:
    """Read a network, a tokenizer or a scheduler from its folder.

    Raises:
        ValueError: it is not there whole, in safetensors format and with numbers only; says what to do.
    """
    stem = {**WEIGHT_FILES, **SECOND_WEIGHTS}.get(path.name)
    if stem:
        options = {**options, **_variant(what, path, stem)}
    try:
        with _LOADING:
            loaded = kind.from_pretrained(str(path), local_files_only=True, **options)
    except Exception as error:
        raise ValueError(
            f"The {what} cannot be read: it is incomplete, damaged or not in safetensors format. Download it again."
        ) from error
    if "output_loading_info" not in options:
        return loaded
    module, info = loaded
    # Both libraries fill what a file lacks with random numbers and only log it.
    lacking = [key for key in info["missing_keys"] if not key.endswith("position_ids")]
    if lacking:
        raise ValueError(
            f"The {what} lacks {len(lacking)} of its weights, such as {sorted(lacking)[0]}. Download it again."
        )
    refuse_no_numbers(what, module)
    return module


def refuse_damaged(folder: Path) -> None:
    """Refuse a folder whose U-Net has a configuration that is no JSON, on which all else depends.

    Raises:
        ValueError: says what to do.
    """
    if not config_of(folder, "unet"):
        raise damaged(folder)


def damaged(folder: Path) -> ValueError:
    """What is told where no U-Net can be made from a folder's configuration."""
    return ValueError(f"The unet of “{folder.name}” cannot be read: its config.json is damaged. Download it again.")


def is_xl(folder: Path) -> bool:
    """Whether a folder's U-Net is one of Stable Diffusion XL; False where its configuration cannot be read."""
    return config_of(folder, "unet").get("addition_embed_type") == "text_time"


def weight_files(folder: Path) -> dict[str, str]:
    """The networks that a folder must hold, and what the names of their weight files begin with."""
    return {**WEIGHT_FILES, **SECOND_WEIGHTS} if is_xl(folder) else WEIGHT_FILES


def config_files(folder: Path) -> dict[str, str]:
    """The parts that a folder must hold, and their configuration files."""
    return {**CONFIG_FILES, **SECOND_CONFIGS} if is_xl(folder) else CONFIG_FILES


def config_of(folder: Path, part: str) -> dict[str, Any]:
    """A part's configuration, or nothing where it cannot be read; reading the part says why."""
    return _json(folder / part / "config.json")


def index_of(folder: Path) -> dict[str, Any]:
    """What model_index.json says; nothing where it cannot be read, since little depends on it."""
    return _json(folder / "model_index.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def refuse_no_numbers(what: str, network: nn.Module) -> None:
    """Refuse a network with NaN or infinite weights.

    Raises:
        ValueError: names the first one.
    """
    if broken := no_number(network.named_parameters()):
        raise ValueError(
            f"The {what} has weights that are no numbers, such as {broken}: it is damaged or badly merged. Take another."
        )


def _variant(what: str, path: Path, stem: str) -> dict[str, str]:
    """Which of the kinds of weights that lie in a folder to read: the plain ones, else fp16, else what there is.

    Raises:
        ValueError: there are none in safetensors format, or only Git LFS pointers to them.
    """
    names = [file.name for file in path.iterdir() if file.name.startswith(stem)]
    found = [file for name in names if (file := _WEIGHTS.fullmatch(name.removeprefix(stem)))]
    if not found:
        _refuse_pickles(what, path)
        return {}
    for file in found:
        with (path / f"{stem}{file[0]}").open("rb") as begun:
            if begun.read(len(_POINTER)) == _POINTER:
                raise ValueError(
                    f"The {what} is a Git LFS pointer and not the weights. Fetch them: git lfs pull, in its folder."
                )
    variants = {file["sharded"] or file["whole"] or "" for file in found}
    chosen = next((each for each in ("", "fp16") if each in variants), min(variants))
    return {"variant": chosen} if chosen else {}


def _refuse_pickles(what: str, path: Path) -> None:
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in (".bin", ".ckpt", ".pt", ".pth"))
    if pickles:
        raise ValueError(
            f"The {what} is there as {pickles[0]} only, not in safetensors format. Such a file can run programs and is "
            "not read. If you trust it, load the folder with diffusers and save it again: "
            "StableDiffusionPipeline.from_pretrained(FOLDER).save_pretrained(NEW)."
        )
