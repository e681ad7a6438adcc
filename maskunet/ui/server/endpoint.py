"""The public endpoints, /compare and /intervene: they stream how it goes, and end with both pictures and their numbers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from maskunet.records import JobEvent
from maskunet.ui import controls
from maskunet.ui import intervene_words as words
from maskunet.ui.interventions import Wish
from maskunet.ui.server import calls
from maskunet.ui.server.cached import cached
from maskunet.ui.studio import Studio


def build(studio: Studio) -> None:
    """Add the endpoints; their components are never shown."""
    _compare(studio)
    _intervene(studio)


def _compare(studio: Studio) -> None:
    method = controls.first_method(studio.methods(), studio.cards()[0]).name
    with gr.Row(visible=False):
        inputs = [
            *calls.texts("prompt", *calls.PICTURE, **calls.usual(studio, method)),
            gr.Number(label="steps", value=0),  # 0 leaves it to the model
            gr.Number(label="guidance", value=0),
            calls.settings(),
            *calls.added(),
        ]
        outputs = _outputs()
        button = gr.Button()

    def compare(
        prompt: str | None,
        negative_prompt: str | None,
        seed: Any,
        model: str | None,
        method: str | None,
        preset: str | None,
        steps: float | None,
        guidance: float | None,
        settings: dict[str, Any] | None,
        loras: Any,
        embeddings: Any,
        lora_masks: str | None,
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
            steps: Denoising steps; 0 for the model's own.
            guidance: Guidance scale; 0 for the model's own.
            settings: Of the method, where they differ from the preset's.
            loras: LoRA files of the folder of models that are put on the model, up to four, such as ["metal:0.8"].
            embeddings: Embeddings of that folder, up to four, such as ["cat"] or ["cat:<my-cat>"].
            lora_masks: What masks act on under a LoRA: "merged" weights, or those of the "base" alone.

        Returns:
            Both pictures, and facts: the rewards of each, the share of weights kept, seconds, and the run's id.
        """
        changed = {"of": f"{method}/{preset}", "set": settings or {}}
        given = controls.Values(prompt, negative_prompt, seed, model, method, preset, steps, guidance, changed=changed)
        asked = calls.request(given, loras, embeddings, lora_masks)
        yield from _answers(studio, studio.start(asked, **calls.caller(caller)))

    button.click(compare, inputs, outputs, api_name="compare", concurrency_limit=None)


def _intervene(studio: Studio) -> None:
    with gr.Row(visible=False):
        inputs = [
            *calls.texts("prompt", "what", "concept", what="", concept=""),
            gr.Number(label="dose", value=0),
            *calls.texts("negative_prompt", "seed", "model", **calls.usual(studio)),
            *calls.added(),
        ]
        outputs = _outputs()
        button = gr.Button()

    def intervene(
        prompt: str | None,
        what: str | None,
        concept: str | None,
        dose: float | int | None,
        negative_prompt: str | None,
        seed: Any,
        model: str | None,
        loras: Any,
        embeddings: Any,
        lora_masks: str | None,
        caller: gr.Request,
    ) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
        """Make the picture of a prompt with parts of the network out, or a concept erased or amplified, and without.

        Args:
            prompt: What the pictures should show, such as "a red cube and a blue sphere".
            what: The parts that are out, such as "block1.cross.v@1-5", or "block2.self=0.5" for half of them.
            concept: Instead, the name of one of the model's concepts, such as "red".
            dose: Of the concept, from -1 (erased) to 1 (amplified).
            negative_prompt: What to steer away from, or empty.
            seed: Of the first noise, a whole number; the same seed means the same noise.
            model: A base model's name, such as "tabletop".
            loras: LoRA files of the folder of models that are put on the model, up to four, such as ["metal:0.8"].
            embeddings: Embeddings of that folder, up to four, such as ["cat"] or ["cat:<my-cat>"].
            lora_masks: What masks act on under a LoRA: "merged" weights, or those of the "base" alone.

        Returns:
            Both pictures, and facts: the rewards of each, the share of weights kept, seconds, and the run's id.
        """
        given = controls.Values(prompt, negative_prompt, seed, model, "knock_out", "")
        asked = calls.request(given, loras, embeddings, lora_masks)
        wish = Wish(what=what or "", concept=concept or "", dose=dose or 0)
        if wish.dose and (wish.what or not wish.concept):
            raise ValueError(words.EITHER)
        method, settings = wish.method(studio.concepts(asked.model) if wish.dose else ())
        asked = replace(asked, method=method, settings=settings, previews=False)
        yield from _answers(studio, studio.start(asked, **calls.caller(caller)))

    button.click(intervene, inputs, outputs, api_name="intervene", concurrency_limit=None)


def _outputs() -> list[Any]:
    return [
        gr.Image(label="base", format="png", type="filepath"),
        gr.Image(label="result", format="png", type="filepath"),
        gr.JSON(label="facts"),
    ]


def _answers(studio: Studio, job: str) -> Iterator[tuple[Any, Any, dict[str, Any]] | None]:
    """What a caller is sent of a job: one preview of a step, as each becomes a file."""
    base: str | None = None

    def output(event: JobEvent) -> tuple[Any, Any, dict[str, Any]] | None:
        nonlocal base
        base, made = _output(event, base)
        return made

    yield from calls.told(studio, job, output, _news)


def _news(event: JobEvent) -> tuple[Any, ...]:
    return event.phase, event.ahead, event.step and (event.step.step, event.step.final)


def _output(event: JobEvent, base: str | None) -> tuple[str | None, tuple[Any, Any, dict[str, Any]] | None]:
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
        return base, (cached(run.base_image), cached(run.result_image), facts)
    if event.phase == "queued":
        return base, (None, None, {"phase": "queued", "ahead": event.ahead, "remaining": event.remaining})
    if event.step is None or event.step.image is None:
        return base, None
    progress = {"phase": event.phase, "step": event.step.step + 1, "steps": event.step.steps}
    image = cached(event.step.image)
    if event.phase == "base":
        return image, (image, None, progress)
    return base, (base, image, progress)
