"""The public endpoint /grid: tells how far a grid is, ends with its sheet and every cell's numbers."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from maskunet.records import JobEvent
from maskunet.records.grid import GridRequest
from maskunet.ui import controls
from maskunet.ui.server import calls
from maskunet.ui.studio import GridStudio, Studio


def build(studio: Studio) -> None:
    """Add the endpoint; its components are never shown."""
    if studio.grids is None:
        return
    names = ("prompt", "x", "y", "z", *calls.PICTURE)
    with gr.Row(visible=False):
        inputs = [*calls.texts(*names, prompt="", x="seed=1..4", y="", z="", **calls.usual(studio)), *calls.added()]
        outputs = [gr.Image(label="sheet", format="png", type="filepath"), gr.JSON(label="facts")]
        button = gr.Button()

    def grid(
        prompt: str | None,
        x: str | None,
        y: str | None,
        z: str | None,
        negative_prompt: str | None,
        seed: Any,
        model: str | None,
        method: str | None,
        preset: str | None,
        loras: Any,
        embeddings: Any,
        lora_masks: str | None,
        caller: gr.Request,
    ) -> Iterator[tuple[str | None, dict[str, Any]] | None]:
        """Make a picture for every combination of values, at most 100, and lay them out with their labels.

        Args:
            prompt: What the pictures should show; left empty where an axis has prompts.
            x: What varies from left to right, as NAME=VALUES, such as "seed=1..4", "guidance=2.5:10:2.5" (from, to,
                step), "method=plain,random_mask", or "prompt=a red cube|a blue sphere".
            y: What varies from top to bottom, or empty.
            z: What varies from panel to panel, or empty.
            negative_prompt: What to steer away from, or empty.
            seed: Of the first noise, where no axis has seeds.
            model: A base model's name, such as "tabletop".
            method: A method's name, such as "plain", "random_mask" or "maskunet_free".
            preset: One of the method's presets, or empty for its first.
            loras: LoRA files of the folder of models that are put on the model, up to four, such as ["metal:0.8"].
            embeddings: Embeddings of that folder, up to four, such as ["cat"] or ["cat:<my-cat>"].
            lora_masks: What masks act on under a LoRA: "merged" weights, or those of the "base" alone.

        Returns:
            The sheet as a picture, and the axes with every cell's rewards, share of weights kept and seconds.
        """
        axes = tuple((name, values) for name, _, values in (each.partition("=") for each in (x, y, z) if each))
        if "prompt" in {name.strip() for name, _ in axes}:
            prompt = "-"  # of the axis
        given = controls.Values(prompt, negative_prompt, seed, model, method, preset)
        asked = GridRequest(request=calls.request(given, loras, embeddings, lora_masks), axes=axes)
        job = studio.grids.start(asked, **calls.caller(caller))
        output = partial(_output, studio.grids)
        yield from calls.told(studio, job, output, lambda event: (event.phase, event.ahead, len(event.rows)))

    button.click(grid, inputs, outputs, api_name="grid", concurrency_limit=None)


def _output(grids: GridStudio, event: JobEvent) -> tuple[str | None, dict[str, Any]]:
    """What a caller is sent for an event."""
    if event.phase == "failed":
        raise ValueError(event.message)
    plan = grids.plan_of(event.job)
    progress = {"phase": event.phase, "ahead": event.ahead, "made": len(event.rows), "count": plan.count}
    if event.phase not in ("done", "stopped"):
        return None, {**progress, "remaining": event.remaining}
    if not event.rows:
        raise ValueError(event.message)
    sheet: Path | None = grids.files(event.job)[0]
    axes = [{"name": name, "values": [*labels]} for name, labels in zip(plan.names, plan.labels, strict=True)]
    facts = {**progress, "axes": axes, "notes": [*plan.notes], "cells": [*event.rows], "note": event.message}
    return None if sheet is None else str(sheet), facts
