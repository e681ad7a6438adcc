"""The LoRA files and embeddings of this machine: those that commands name, and those of a folder of models."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from maskunet.models.base import embedding, lora
from maskunet.prompts.words import shortened
from maskunet.records import Card
from maskunet.records.added import ENDING, READINGS, Added, embeddings_of, loras_of, of, split, written
from maskunet.records.disk import trained_file

log = logging.getLogger(__name__)

KINDS = ("loras", "embeddings")
FOLDERS = {"loras": ("loras", "Lora", "lora"), "embeddings": ("embeddings",)}  # as ComfyUI and A1111 call them
TITLES = {"loras": "LoRA", "embeddings": "embedding"}
FLAGS = {"loras": "--lora", "embeddings": "--embedding"}

Files = Mapping[str, Mapping[str, Path]]
"""By kind and name; a file's name without its ending."""


def called(path: Path) -> str:
    """The name of a file; of one that was trained here its folder's."""
    name = path.name[: -len(ENDING)] if path.name.lower().endswith(ENDING) else path.name
    return path.parent.name if name == "trained" and path.parent.name else name


def given(loras: Iterable[str], embeddings: Iterable[str], lora_masks: str = "") -> tuple[Added, Files]:
    """What `--lora FILE:WEIGHT` and `--embedding FILE:TOKEN` name.

    Raises:
        ValueError: a file is not here, is named twice or has no such weight or token, or there are too many.
    """
    if lora_masks not in ("", *READINGS):
        raise ValueError(f"--lora-masks takes {' or '.join(READINGS)}, not “{shortened(lora_masks, 20)}”.")
    files: dict[str, dict[str, Path]] = {}
    texts: dict[str, list[str]] = {}
    for kind, each in zip(KINDS, (loras, embeddings), strict=True):
        files[kind], texts[kind] = {}, []
        for text in each:
            path, value = _located(text, kind)
            texts[kind].append(written(called(path), value))
            files[kind][called(path)] = path
    return of(loras_of(texts["loras"]), embeddings_of(texts["embeddings"]), lora_masks or READINGS[0]), files


def _located(text: str, kind: str) -> tuple[Path, str]:
    """The file, and what follows it."""
    with suppress(OSError, ValueError):  # a name that no file can have
        for path, value in ((Path(text), ""), ((parts := split(text)) and Path(parts[0]), parts[1])):
            if path.is_file():
                return path, value
    raise ValueError(
        f"{FLAGS[kind]} takes a file, {'FILE:0.8' if kind == 'loras' else 'FILE:TOKEN'}; “{shortened(split(text)[0])}” is none here."
    )


def shelf(models: Path) -> Files:
    """The files in the folders loras and embeddings of a folder of models; pickles too, so that they say why not."""
    endings = (ENDING, ".pt", ".ckpt", ".bin", ".pth")
    found: dict[str, dict[str, Path]] = {}
    for kind in KINDS:
        folders = [folder for name in FOLDERS[kind] if (folder := models / name).is_dir()]
        paths = (path for folder in folders[:1] for path in sorted(folder.iterdir()))
        fits = (path for path in paths if path.is_file() and path.suffix.lower() in endings and path.name[0] != ".")
        found[kind] = {called(path): path for path in fits}
    return found


def on_shelf(models: Path | None, files: Files) -> Files:
    """Those of a folder of models, if there is one, and the given ones, which come first."""
    found = shelf(models) if models is not None and models.is_dir() else {}
    return {kind: {**found.get(kind, {}), **files[kind]} for kind in KINDS}


def with_trained(files: Files, folder: Path, model: str) -> Files:
    """And the embeddings that were trained here, by the name of the training, where a file has not that name.

    Args:
        folder: of what is trained, see `Library`.
        model: whose trainings come before others' of the same name.
    """
    paths = sorted(folder.glob("*/*/trained.safetensors"), key=lambda path: (path.parts[-3] == model, path))
    parts = [(path.parent.name, path) for path in paths]  # of one name the last stays
    mine = trained_file.by_kind(parts).get(trained_file.EMBEDDING, {})
    return {**files, "embeddings": {**mine, **files["embeddings"]}}


def cards(files: Files) -> dict[str, list[Card]]:
    """What a page shows of each file, by kind: from its header, or why it cannot be read.

    Of an embedding `kind` is its token.
    """
    return {kind: [_card(kind, name, path) for name, path in files.get(kind, {}).items()] for kind in KINDS}


def _card(kind: str, name: str, path: Path) -> Card:
    try:
        if kind == "loras":
            return Card(name=name, title=shortened(name), summary=lora.about(path).note)
        token = embedding.about(path).token
        return Card(name=name, title=shortened(name), summary=f"written {token} in the prompt", kind=token)
    except ValueError as error:
        reason = str(error)
    except Exception:  # whatever a stranger's file does to those who read it: the page shows the others
        log.exception("The file “%s” cannot be read.", path.name)
        reason = f"“{shortened(path.name, 80)}” cannot be read. Download it again."
    return Card(name=name, title=shortened(name), summary="", available=False, reason=reason)


def find(added: Added, files: Files) -> None:
    """Refuse what is not here.

    Raises:
        ValueError: a file is missing; says which, and what to do.
    """
    for kind, wanted in zip(KINDS, added[:2], strict=True):
        for name, _ in wanted:
            path = files.get(kind, {}).get(name)
            if path is None or not path.is_file():
                raise ValueError(
                    f"The {TITLES[kind]} “{shortened(name)}” is not here. Put its file into the folder {kind} of --models, or give "
                    f"it to a command with {FLAGS[kind]}."
                )
