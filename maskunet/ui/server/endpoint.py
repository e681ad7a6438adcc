"""The public endpoint /compare: streams previews, ends with both pictures and their numbers."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from maskunet.records import JobEvent
from maskunet.ui import controls
from maskunet.ui.studio import Studio, answered


def build(studio: Studio) -> None:
    """Add the endpoint; its components are never shown."""
    first = studio.cards()[0]
    method = controls.first_method(studio.methods(), first).name
    with gr.Row(visible=False):
        inputs = [
            gr.Textbox(label="prompt"),
            gr.Textbox(label="negative_prompt", value=""),
            gr.Textbox(label="seed", value="0"),  # a text holds 64 bits in any language, and numbers are taken too
            gr.Textbox(label="model", value=first.name),
            gr.Textbox(label="method", value=method),
            gr.Textbox(label="preset", value=""),
        ]
        outputs = [
            gr.Image(label="base", format="png", type="numpy"),
            gr.Image(label="result", format="png", type="numpy"),
            gr.JSON(label="facts"),
        ]
        button = gr.Button()

    def compare(
        prompt: str | None,
        negative_prompt: str | None,
        seed: Any,
        model: str | None,
        method: str | None,
        preset: str | None,
        caller: gr.Request,
    ) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
        """Make the unmasked and the masked picture of a prompt from the same noise.

        Args:
            prompt: What the pictures should show, such as "a red cube and a blue sphere".
            negative_prompt: What to steer away from, or empty.
            seed: Of the first noise, a whole number; the same seed means the same noise.
            model: A base model's name, such as "tabletop".
            method: A method's name, such as "maskunet_free" or, as its control, "random_mask".
            preset: One of the method's presets, or empty for its first.

        Returns:
            Both pictures, and facts: the rewards of each, the share of weights kept, seconds, and the run's id.
        """
        address = caller.client.host
        asked = controls.request(controls.Values(prompt, negative_prompt, seed, model, method, preset))
        job = studio.start(asked, owner=caller.session_hash or address, address=address)
        yield from _answers(studio, job)

    button.click(compare, inputs, outputs, api_name="compare", concurrency_limit=None)


def _answers(studio: Studio, job: str) -> Iterator[tuple[Any, Any, dict[str, Any]] | None]:
    """What a caller is sent of a job: one preview of a step, as each becomes a file; None without news.

    One who hangs up gives the device back, as nobody could find the job again.
    """
    base = told = None
    for event in answered(studio, job):
        base, output = _output(event, base)
        news = event.phase, event.ahead, event.step and event.step.step
        yield None if news == told else output
        told = news if output is not None else told


def _output(event: JobEvent, base: Any) -> tuple[Any, tuple[Any, Any, dict[str, Any]] | None]:
    """The base picture so far, and what to send for an event."""
    if event.phase == "failed":
        raise ValueError(event.message)
    run = event.run
    if run is not None:
        facts = {
            "base_rewards": dict(run.base_rewards),
            "rewards": dict(run.rewards),
            "keep_ratio": run.keep_ratio,
            "unet_calls": run.unet_calls,
            "seconds": run.seconds,
            "seed": run.request.seed,
            "run_id": run.id,
            "state": run.state,
            "note": run.note,
        }
        return base, (run.base_image, run.result_image, facts)
    if event.phase == "queued":
        return base, (None, None, {"phase": "queued", "ahead": event.ahead, "remaining": event.remaining})
    if event.step is None or event.step.image is None:
        return base, None
    progress = {"phase": event.phase, "step": event.step.step + 1, "steps": event.step.steps}
    if event.phase == "base":
        return event.step.image, (event.step.image, None, progress)
    return base, (base, event.step.image, progress)
