"""What the public endpoints have in common: fields that are never shown, what a call asks for, and news of its job."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from maskunet.records import JobEvent, Request
from maskunet.records.added import READINGS
from maskunet.ui import controls
from maskunet.ui.studio import Studio, answered

PICTURE = ("negative_prompt", "seed", "model", "method", "preset")


def usual(studio: Studio, method: str = "plain") -> dict[str, str]:
    """What a call means that leaves the fields of a `PICTURE` out."""
    return {"negative_prompt": "", "seed": "0", "model": studio.cards()[0].name, "method": method, "preset": ""}


def texts(*names: str, **usual: str) -> list[gr.Textbox]:
    """Fields that hold a text; `usual` has what those hold that a call leaves out.

    A seed is a text too: it holds 64 bits in any language, and numbers are taken.
    """
    return [gr.Textbox(label=name, value=usual.get(name)) for name in names]


def added() -> list[Any]:
    """The fields of LoRA files and embeddings, behind those that came first: `request` takes their values."""
    of_files = {"type": "array", "items": {"type": "string"}}
    files = [_json(name, [], of_files) for name in ("loras", "embeddings")]
    return [*files, gr.Textbox(label="lora_masks", value=READINGS[0])]


def settings() -> gr.JSON:
    """The field of a method's settings."""
    return _json("settings", {}, {"type": "object", "description": "by name"})


def _json(label: str, value: Any, schema: dict[str, Any]) -> gr.JSON:
    made = gr.JSON(label=label, value=value)
    made.api_info = lambda: schema  # gradio's own is no schema that tools take
    return made


def request(given: controls.Values, loras: Any, embeddings: Any, lora_masks: str | None) -> Request:
    """What a call asks for.

    Args:
        loras, embeddings: as a `Request` has them; only files of the folder of models have such names.

    Raises:
        ValueError: one value is out of range; one clear sentence.
    """
    files = {"loras": loras or (), "embeddings": embeddings or (), "lora_masks": lora_masks or READINGS[0]}
    return replace(controls.request(given), **files)


def caller(asks: gr.Request) -> dict[str, str]:
    """Whose job it is, as a studio is told."""
    return {"owner": asks.session_hash or asks.client.host, "address": asks.client.host}


def told(studio: Studio, job: str, output: Callable[[JobEvent], Any], news: Callable[[JobEvent], Any]) -> Iterator[Any]:
    """What a caller is sent of a job; None where there is nothing, or nothing new.

    One who hangs up gives the device back, as nobody could find the job again.

    Args:
        output: what to send for an event, None for nothing. news: equal where that would be the same again, which is
            then not made: pictures become files that nobody would delete.
    """
    last = None
    for event in answered(studio, job):
        new = news(event)
        made = None if new == last else output(event)
        yield made
        last = last if made is None else new
