"""U-Nets that others fine-tuned: a diffusers folder, or its weights as one safetensors file without a header of ours."""

from pathlib import Path

from torch import nn

from maskunet.models.base.reading import WEIGHT_FILES
from maskunet.records.disk import trained_file

MARKS = ("conv_in.weight", "time_embedding.linear_1.weight", "conv_out.weight")  # of every U-Net in diffusers' names
PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def file_in(folder: Path) -> Path | None:
    """The weights of the U-Net in a folder, or in its unet/: whole ones before half ones, a pickle if there is nothing else."""
    stem = WEIGHT_FILES["unet"]
    names = [f"{stem}.safetensors", f"{stem}.fp16.safetensors", *(f"{stem}{kind}" for kind in PICKLES)]
    places = [place / name for name in names for place in (folder, folder / "unet")]
    return next((path for path in places if path.is_file()), None)


def beside(folder: Path) -> dict[str, Path]:
    """Those in a folder of trainings, by their name: folders, and files that hold nothing but a U-Net."""
    folders = {path.name: file_in(path) for path in sorted(folder.glob("*/"))}
    files = {path.stem: path for path in sorted(folder.glob("*.safetensors")) if is_one(path)}
    return {**{name: path for name, path in folders.items() if path is not None}, **files}


def is_one(path: Path) -> bool:
    """Whether a file is no training of ours and holds a U-Net, by its header; a pickle is not opened."""
    if path.suffix in PICKLES:
        return True
    return not trained_file.kinds(path) and set(MARKS) <= shapes(path).keys()


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, by its name, from the header; nothing where it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return {}


def fill(unet: nn.Module, path: Path, name: str) -> None:
    """Put the weights into a U-Net; until every name and shape is known to fit, none is read.

    Raises:
        ValueError: it is a pickle, or of another kind of U-Net; says what is where.
    """
    from safetensors.torch import load_file

    if path.suffix in PICKLES:
        raise ValueError(
            f"The U-Net “{name}” is there as {path.name} only. Such a file can run programs and is not read. If you trust "
            "it, load its folder with diffusers and save it again: UNet2DConditionModel.from_pretrained(FOLDER)"
            ".save_pretrained(NEW)."
        )
    own, given = {key: tuple(value.shape) for key, value in unet.state_dict().items()}, shapes(path)
    wrong = sorted(key for key in own.keys() | given.keys() if own.get(key) != given.get(key))
    if wrong:
        key = next((key for key in wrong if key in own and key in given), wrong[0])
        raise ValueError(
            f"The U-Net “{name}” is of another kind of model: {len(wrong)} of its tensors do not fit, such as {key}, "
            f"{given.get(key, 'absent')} there and {own.get(key, 'unknown')} here. Take one that was made from this model."
        )
    unet.load_state_dict(load_file(path))
