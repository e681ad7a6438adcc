"""Make a picture of every prompt of a list into a folder: in shards, and on from where it was stopped."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskunet import plugins, seeds
from maskunet.machine import versions
from maskunet.methods import method_of
from maskunet.methods.base import MethodSpec, filled
from maskunet.methods.base.batches import fitting, halved, together
from maskunet.models.base import DiffusionModel
from maskunet.prompts.files import METADATA, Prompt
from maskunet.prompts.tokens import unread
from maskunet.records import MAX_SEED, Request, StepEvent
from maskunet.records.disk import whole
from maskunet.records.run import STEERED_BY
from maskunet.rewards.base import WeightedRewards, required
from maskunet.runs.fine_print import notes_on_many

RECORD = "sample.json"
FAILED = "failed"  # folder: why a picture could not be made, one text file each


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far one process is with its share of the pictures.

    Attributes:
        done, total: pictures of the share that are there or have failed, and all of it.
        found: how many of them were there at the beginning.
        file: of the picture that was done last; empty at first.
        failed: why, by the file's name, for pictures that could not be made this time.
        cut: prompts of the share that are longer than the text encoder reads; `notes`, sentences on what else is cut,
            read as letters or unknown.
        complete: whether all processes' pictures are there, and so the folder's metadata.jsonl.
    """

    done: int
    total: int
    found: int
    file: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0
    notes: tuple[str, ...] = ()
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to make, and what it is called."""

    prompt: Prompt
    file: str
    seed: int


def sample(
    model: DiffusionModel,
    rewards: WeightedRewards,
    request: Request,
    prompts: Sequence[Prompt],
    out: Path,
    *,
    seed: int,
    images_per_prompt: int = 1,
    batch: int = 1,
    rank: int = 0,
    world: int = 1,
    should_stop: Callable[[], str] = str,
) -> Iterator[Progress]:
    """Make the pictures that are not there yet; closing the iterator or killing it loses at most one batch.

    A picture depends on its prompt, the prompt's place and the seed alone, so any number of processes and of
    interruptions gives the same bytes on the same kind of device; with a batch above 1 up to rounding. When all are
    there, metadata.jsonl lists them as an image folder with captions.

    Args:
        model: the base model. rewards: its own, for a method that they steer; nothing else is scored.
        request: method, preset, settings, steps, guidance and negative prompt; its prompt and seed are replaced.
        out: folder for KEY.png, or KEY-0.png, KEY-1.png ... with several images per prompt.
        seed: of the run, see `seeds.of_prompt`.
        batch: pictures that share U-Net calls, where the method allows it; 0 for as many as fit.
        rank, world: this process makes prompts i with i % world == rank.
        should_stop: asked after every event of the method; a sentence other than "" ends the work.

    Yields:
        Progress at the beginning, after every picture and at the end.

    Raises:
        ValueError: an unknown method, preset or setting, keys that repeat, or a folder that holds
            something else or was made otherwise; says which. A prompt that fails alone is counted.
    """
    spec = method_of(request.method)
    settings = spec.settings(request.preset, request.settings)
    judges = required(rewards) if spec.needs_rewards else WeightedRewards({})
    request = replace(filled(request, spec, model), previews=False, statistics=False, keep_masks=False)
    every = pictures(prompts, seed, images_per_prompt)
    about = {"seed": seed, "images_per_prompt": images_per_prompt, **_about_prompts(prompts)}
    about |= _about(model, judges, request, spec, settings)
    _begin(out, about, _young(settings, about["weights"]))
    mine = [picture for i, picture in enumerate(every) if i // images_per_prompt % world == rank]
    missing = [picture for picture in mine if not (out / picture.file).exists()]
    found, texts = len(mine) - len(missing), [prompt.text for prompt in prompts[rank::world]]
    cut = sum(bool(unread(text, model.tokenizer)) for text in texts)
    notes = (*model.notes, *notes_on_many(model, judges, texts, request.negative_prompt))
    state = Progress(done=found, total=len(mine), found=found, cut=cut, notes=notes)
    yield state

    def make(some: Sequence[Picture]) -> list[np.ndarray] | None:
        asked = [replace(request, prompt=each.prompt.text, seed=each.seed) for each in some]
        return _images(together(spec, model, judges, asked, settings), len(some), should_stop)

    size = (batch or fitting(model)) if spec.shares(settings) else 1
    for start in range(0, len(missing), size):
        for picture, made in halved(make, missing[start : start + size]):
            if made is None:
                return
            if isinstance(made, str):
                _note_failure(out, picture.file, made)
                state = replace(state, failed={**state.failed, picture.file: made})
            else:
                _write_picture(out, picture.file, made)
            state = replace(state, done=state.done + 1, file=picture.file)
            yield state
    yield replace(state, complete=_finished(out, every, alone=world == 1))


def pictures(prompts: Sequence[Prompt], seed: int, images_per_prompt: int = 1) -> list[Picture]:
    """The pictures of all prompts, one prompt after the other.

    Raises:
        ValueError: no prompt or less than one image for each, a bad seed, or two pictures of one name.
    """
    if not prompts or images_per_prompt < 1:
        raise ValueError(
            f"{len(prompts)} prompts with {images_per_prompt} images each give no picture; give at least one."
        )
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"The seed is {seed:,}; allowed is 0 to {MAX_SEED:,}.")
    found = [
        Picture(prompt, f"{prompt.key}{f'-{k}' if images_per_prompt > 1 else ''}.png", seeds.of_prompt(seed, i, k))
        for i, prompt in enumerate(prompts)
        for k in range(images_per_prompt)
    ]
    if len({picture.file for picture in found}) < len(found):
        raise ValueError("Two prompts have the same key, so their pictures would have the same name.")
    return found


def _about(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, spec: MethodSpec, settings: Any
) -> dict[str, Any]:
    """How pictures that lie together must be made."""
    return {
        "model": request.model, "weights": spec.weights(model, settings, rewards),
        "method": request.method, "preset": request.preset, "settings": asdict(settings),
        "steps": request.steps, "guidance": request.guidance, "negative_prompt": request.negative_prompt,
        "device": model.device.type, "dtype": str(model.dtype).removeprefix("torch."),
    }  # fmt: skip


def _about_prompts(prompts: Sequence[Prompt]) -> dict[str, Any]:
    texts = json.dumps([(prompt.key, prompt.text) for prompt in prompts])
    return {"prompts": len(prompts), "prompts_sha256": hashlib.sha256(texts.encode()).hexdigest()}


def _young(settings: Any, weights: Mapping[str, str]) -> dict[str, Any]:
    """What a folder that was begun before a value was written down is taken to have, by its name as `_flat` has it."""
    defaults = {f"settings {card.name}": card.default for card in plugins.cards(type(settings))}
    steering = {f"weights {name}": digest for name, digest in weights.items() if name.startswith(STEERED_BY)}
    return {**defaults, **steering}


def _begin(out: Path, about: Mapping[str, Any], young: Mapping[str, Any]) -> None:
    """Say in the folder what it is made with, or refuse to go on with something else.

    Args:
        young: see `_young`.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"“{out.name}” is a file. Give the name of a folder for the pictures.")
    path = out / RECORD
    if path.is_file():
        _check(path, json.loads(json.dumps(about)), young)
        return
    if out.is_dir() and any(p.name[0] != "." for p in out.iterdir()):
        raise ValueError(f"The folder “{out.name}” holds other files. Give another one.")
    out.mkdir(parents=True, exist_ok=True)
    record = json.dumps({**about, "versions": versions()}, indent=1, ensure_ascii=False)
    whole.write(path, f"{record}\n")


def _check(path: Path, about: Mapping[str, Any], young: Mapping[str, Any]) -> None:
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        before = None
    if not isinstance(before, dict):
        raise ValueError(f"“{path.name}” in “{path.parent.name}” cannot be read. Give another folder.")
    there, here = {**young, **_flat(before)}, _flat(about)
    for name in dict.fromkeys([*here, *there]):
        if name.split(" ")[0] in about and there.get(name) != here.get(name):
            raise ValueError(
                f"“{path.parent.name}” was made with the {name} {there.get(name)!r}, not {here.get(name)!r}. "
                "Give the same, or another folder."
            )


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested names as one: "settings updates"."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flat(value) if isinstance(value, dict) else {"": value}
        found |= {f"{name} {key}".strip(): each for key, each in inner.items()}
    return found


def _images(
    events: Iterator[tuple[int, StepEvent]], count: int, should_stop: Callable[[], str]
) -> list[np.ndarray] | None:
    """The final pictures (H, W, 3) uint8 by their number, or None if it was stopped before.

    Raises:
        ValueError: a prompt cannot be made into a picture.
    """
    found: dict[int, np.ndarray] = {}
    with closing(events):
        for number, event in events:
            if event.final:
                found[number] = event.image
            elif should_stop():
                return None
    if len(found) < count:
        raise ValueError("The method ended without a picture.")
    return [found[number] for number in range(count)]


def _write_picture(out: Path, name: str, image: np.ndarray) -> None:
    with whole.file(out / name) as fresh:
        Image.fromarray(image).save(fresh, "PNG")
    _failure(out, name).unlink(missing_ok=True)


def _note_failure(out: Path, name: str, reason: str) -> None:
    whole.write(_failure(out, name), f"{reason}\n")


def _failure(out: Path, name: str) -> Path:
    return out / FAILED / f"{name}.txt"


def _finished(out: Path, every: Sequence[Picture], alone: bool) -> bool:
    """Write metadata.jsonl if every process's pictures are there or have failed; whoever is last does it."""
    made = [picture for picture in every if (out / picture.file).exists()]
    lacking = {picture.file for picture in every} - {picture.file for picture in made}
    if not all(_failure(out, file).exists() for file in lacking):
        return False
    rows = [{"file_name": p.file, "text": p.prompt.text, "key": p.prompt.key, "seed": p.seed} for p in made]
    whole.write(out / METADATA, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    if alone:  # else another process may be writing its last one
        whole.tidy(out)
    return True
