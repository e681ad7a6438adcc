"""The public endpoint /video: tells how far a video is, ends with the videos side by side and their numbers."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from maskunet.records import JobEvent
from maskunet.records.video import Motion
from maskunet.ui import controls
from maskunet.ui.server import calls
from maskunet.ui.studio import Studio, VideoStudio

USUAL = Motion()


def build(studio: Studio) -> None:
    """Add the endpoint; its components are never shown."""
    if studio.videos is None:
        return
    with gr.Row(visible=False):
        inputs: list[Any] = calls.texts("prompt")
        inputs += [gr.Number(getattr(USUAL, name), label=name) for name in ("frames", "right", "down")]
        inputs += calls.texts("mask_per", *calls.PICTURE, mask_per=USUAL.mask_per, **calls.usual(studio))
        inputs += calls.added()
        outputs = [gr.Image(label="videos", format="gif", type="filepath"), gr.JSON(label="facts")]
        button = gr.Button()

    def video(
        prompt: str | None,
        frames: Any,
        right: Any,
        down: Any,
        mask_per: str | None,
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
        """Make a short video of a prompt, plain and under a method's masks from the same noise.

        Args:
            prompt: What the video should show.
            frames: Pictures of the video, 1 to 24.
            right: How far things move to the right in a frame, as a share of the width; below 0 to the left.
            down: How far they move down in a frame, as a share of the height; below 0 up.
            mask_per: "video" puts the first frame's masks on all frames, "frame" makes each frame's own.
            negative_prompt: What to steer away from, or empty.
            seed: Of the first noise.
            model: A base model's name, such as "tabletop".
            method: A method's name, such as "plain", "random_mask" or "maskunet_free".
            preset: One of the method's presets, or empty for its first.
            loras: LoRA files of the folder of models that are put on the model, up to four, such as ["metal:0.8"].
            embeddings: Embeddings of that folder, up to four, such as ["cat"] or ["cat:<my-cat>"].
            lora_masks: What masks act on under a LoRA: "merged" weights, or those of the "base" alone.

        Returns:
            Both videos side by side as a GIF, and the motion asked and measured, consistency and cost of each.
        """
        whole = int(frames) if isinstance(frames, float) and frames.is_integer() else frames
        motion = Motion(frames=whole, right=right, down=down, mask_per=mask_per or "")
        given = controls.Values(prompt, negative_prompt, seed, model, method, preset)
        asked = calls.request(given, loras, embeddings, lora_masks)
        job = studio.videos.start(asked, motion, **calls.caller(caller))
        yield from calls.told(studio, job, partial(_output, studio.videos), _news)

    button.click(video, inputs, outputs, api_name="video", concurrency_limit=None)


def _news(event: JobEvent) -> tuple[Any, ...]:
    return event.phase, event.ahead, event.step and event.step.step, len(event.rows)


def _output(videos: VideoStudio, event: JobEvent) -> tuple[str | None, dict[str, Any]]:
    """What a caller is sent for an event."""
    if event.phase == "failed":
        raise ValueError(event.message)
    progress = {"phase": event.phase, "ahead": event.ahead, "videos": [*event.rows]}
    if event.phase not in ("done", "stopped"):
        step = event.step and {"step": event.step.step, "steps": event.step.steps}
        return None, {**progress, **(step or {})}
    if not event.rows:
        raise ValueError(event.message)
    return str(videos.files(event.job)["gif"]), {**progress, "note": event.message}
