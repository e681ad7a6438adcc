"""A command with its options as a line for a POSIX shell, and the one that makes a request's pictures."""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from maskunet.records import Request, added
from maskunet.records.video import Motion


def command_line(request: Request, weights: Path | None = None) -> str:
    """The request as a command; what is left to the preset is left out.

    Args:
        weights: the folder that the model was read from, if one was given.
    """
    return written("generate", {**_asked(request, weights), "keep-masks": request.keep_masks, "out": "my-run"})


def of_video(request: Request, motion: Motion, weights: Path | None = None) -> str:
    """The command that makes a video; arguments as `command_line`."""
    usual = Motion()
    moves = {
        name: getattr(motion, name)
        for name in ("frames", "right", "down", "t0", "t1", "mask_per", "solver", "published")
    }
    moves = {name.replace("_", "-"): value for name, value in moves.items() if value != getattr(usual, name)}
    return written("video", {**_asked(request, weights), **moves, "alone": not motion.cross_frame, "out": "my-video"})


def _asked(request: Request, weights: Path | None) -> dict[str, Any]:
    """What makes a picture, by option."""
    return {
        "model": request.model,
        "weights": weights,
        "lora": [added.written(f"{name}{added.ENDING}", value) for name, value in map(added.split, request.loras)],
        "lora-masks": request.lora_masks if request.added.lora_masks != added.READINGS[0] else "",
        "embedding": [
            added.written(f"{name}{added.ENDING}", value) for name, value in map(added.split, request.embeddings)
        ],
        "method": request.method,
        "preset": request.preset,
        "prompt": request.prompt,
        "negative-prompt": request.negative_prompt,
        "seed": request.seed,
        "steps": request.steps,
        "guidance": request.guidance,
        "set": request.settings,
    }


def written(command: str, options: Mapping[str, Any], *positional: Any) -> str:
    """A command for a POSIX shell; of files and folders their names, as where they lie is nobody else's.

    Args:
        options: by flag without its dashes. What is empty, False or None is left out, and True is the flag alone. A
            list gives the flag once for each value, pairs and a mapping as KEY=VALUE; a tuple is one value with commas.
    """
    words = ["python", "-m", "maskunet", command, *(shlex.quote(_text(each)) for each in positional)]
    for flag, value in options.items():
        words += (f"--{flag}{text}" for text in _given(value))
    return " ".join(words)


def _given(value: Any) -> Iterator[str]:
    """What follows the flag, each time that it is given."""
    if value is True:
        yield ""
    elif isinstance(value, Mapping):
        yield from _given([*value.items()])
    elif isinstance(value, list):
        texts = ("=".join(map(_text, each)) if isinstance(each, tuple) else _text(each) for each in value)
        yield from (f"={shlex.quote(text)}" for text in texts)
    elif value is not None and value is not False and (text := _text(value)):
        # With "=", a prompt that starts with a dash is not taken for an option.
        yield f"={shlex.quote(text)}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        # A name may end in .0 too, and is another one without it.
        return ",".join(_text(each).removesuffix(".0") if isinstance(each, float) else _text(each) for each in value)
    return value.name if isinstance(value, Path) else value if isinstance(value, str) else json.dumps(value)
