"""Models of the user's own: a single file, a diffusers folder, a repository of the Hugging Face cache, or a shelf of them."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from maskunet.models import SPECS
from maskunet.models.base import ModelSpec, scheduler, single_file
from maskunet.models.base.reading import CONFIG_FILES, is_xl, refuse_damaged
from maskunet.prompts.words import shortened
from maskunet.records.disk.hub import MissingWeights, snapshot

FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf")  # the others of a folder are no models
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
TINY_DECODER = "madebyollin/taesd"  # of the latents of Stable Diffusion 1.x and 2.x
LIKE_XL = ("guidance", "steps", "tiny_decoder", "vae")  # what a model of the user's has in common with `sdxl`


def located(given: Path) -> Path:
    """The file or folder that `--weights` names: one of this machine, or a repository or its file as it is cached.

    Raises:
        MissingWeights: it is neither; says how to fetch a repository.
    """
    whole = given.as_posix()
    if given.exists() or given.is_absolute() or not REPOSITORY.match(whole) or given.parts[0] in (".", ".."):
        return given
    repo, inside = "/".join(given.parts[:2]), "/".join(given.parts[2:])
    if folder := snapshot(repo, file=inside):
        return folder / inside
    wanted = f' --include "{inside}"' if inside else ' --include "*.json" "*/*.safetensors" "tokenizer/*"'
    raise MissingWeights(
        f"“{shortened(whole)}” is no file or folder here, and no repository in the Hugging Face cache. To fetch such a "
        f"repository: hf download {repo}{wanted}"
    )


def of_its_kind(spec: ModelSpec, xl: bool) -> ModelSpec:
    """A model of the user's, and where it is a Stable Diffusion XL, with what goes with these."""
    return replace(spec, **{name: getattr(SPECS["sdxl"], name) for name in LIKE_XL}) if xl else spec


def is_folder(path: Path) -> bool:
    """Whether a folder holds a model in diffusers format."""
    return (path / "unet" / CONFIG_FILES["unet"]).is_file()


def spec_of(path: Path, taken: Iterable[str] = ()) -> ModelSpec:
    """What can be chosen of a file or folder; one that cannot be read says why.

    Args:
        taken: names that others have.
    """
    name, called = named(path, taken), shortened(path.name, 100)
    refused, summary, xl = "", f"The file {called}.", is_xl(path)
    own = {"steps": scheduler.FEW_STEPS, "guidance": scheduler.NO_GUIDANCE} if scheduler.is_distilled(path) else {}
    try:
        if path.is_dir():
            summary = "A Stable Diffusion folder in diffusers format."
            refuse_damaged(path)
        else:
            kind = single_file.kind_of(path)
            summary, xl = f"{kind.title}, from the file {called}.", kind.name == "sdxl"
    except ValueError as error:
        refused = str(error)
    spec = ModelSpec(
        name=name,
        title=shortened(path.stem if path.is_file() else path.name),
        summary=summary,
        license="as stated by the model's maker",
        folder=path,
        refused=refused,
        tiny_decoder="" if path.is_dir() else TINY_DECODER,
    )
    return replace(of_its_kind(spec, xl), **own)


def named(path: Path, taken: Iterable[str] = ()) -> str:
    """A name as requests take it, after the file or folder; the whole file name or a number where others have it."""

    def plain(text: str) -> str:
        return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:60].strip("-.") or "model"

    numbered = (f"{plain(path.stem)}-{number}" for number in range(2, 10_000))
    short = path.stem if path.suffix.lower() in FILES else path.name  # of a folder all: v1.5 is no ending
    wanted = [plain(short), plain(path.name), *numbered]
    return next(name for name in wanted if name not in set(taken))


def shelf(folder: Path, taken: Iterable[str], *, may_be_empty: bool = False) -> dict[str, ModelSpec]:
    """A model for every file and every diffusers folder in a folder, by name.

    Args:
        taken: names of other models. may_be_empty: it has LoRA files or embeddings for those.

    Raises:
        ValueError: there is no such folder, or no model in it.
    """
    if not folder.is_dir():
        raise ValueError(f"--models takes a folder of models; “{folder.name}” is none.")
    found: dict[str, ModelSpec] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if is_folder(path) or (path.is_file() and path.suffix.lower() in FILES):
            spec = spec_of(path, {*taken, *found})
            found[spec.name] = spec
    if not found and not may_be_empty:
        raise ValueError(f"“{folder.name}” holds no models: no .safetensors file and no diffusers folder.")
    return found
