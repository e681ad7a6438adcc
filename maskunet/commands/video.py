"""python -m maskunet video: a short video of a prompt, with or without masks."""

import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import CommandSpec, MethodOptions, bar, check_repeats, option

if TYPE_CHECKING:
    from maskunet.records import Request
    from maskunet.records.video import Motion, Video

# What a repeated video may be told: where it is and goes, and what is put on the model as it was then.
FREE = ("replay", "out", "weights", "device", "lora", "lora_masks", "embedding")


@dataclass(frozen=True, kw_only=True)
class Options(MethodOptions):
    prompt: str | None = option(None, "what the video should show", one_of="source")
    replay: Path | None = option(None, "a video.json", metavar="FILE", one_of="source")
    negative_prompt: str = option("", "what to steer away from")
    frames: int = option(8, "pictures of the video, up to 24; 8 if left out", low=1, high=24)
    right: float = option(
        0.0234,
        "how far things move to the right in a frame, as a share of the width, -.125 to .125; below 0: left; .0234 if left out",
        low=-0.125,
        high=0.125,
    )
    down: float = option(
        0.0,
        "how far they move down in a frame, as a share of the height, -.125 to .125; below 0: up",
        low=-0.125,
        high=0.125,
    )
    t0: int = option(0, "timestep at which the first frame is moved; 0 for the model's own", low=0, high=998)
    t1: int = option(0, "timestep from which all frames are made together; 0 for the model's own", low=0, high=999)
    alone: bool = option(False, "frames do not look at the first one")
    mask_per: str = option(
        "video", "masks of the first frame for all (video, if left out), or of each frame", choices=("video", "frame")
    )
    solver: str = option("dpm", "as for pictures, or as published", choices=("dpm", "ddim"))
    published: bool = option(False, "noise back as the published code does, one timestep off")
    out: Path = option(writes="folder", help="folder for frames, animations and video.json")


def run(options: Options) -> None:
    """Make a video, or an earlier one again, and write its folder.

    Raises:
        ValueError: what was asked for cannot be made, or not with what is here; says what to do.
    """
    from maskunet.runs import replay
    from maskunet.runs.video import folder

    folder.check_place(options.out)
    request, motion, record = _asked(options)
    from maskunet.methods import method_of

    spec = method_of(request.method)
    request = replay.as_made(request, record.get("settings"), spec.presets)
    settings = spec.settings(request.preset, request.settings)
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.library.library import Library
    from maskunet.machine import interruptible, versions
    from maskunet.runs.video.make import completed

    library = Library(request.model, options.weights, options.device, **options.added)
    if spec.needs_rewards:
        library.find(library.default)
    loaded = library.load(library.default)
    folder.check_there(options.out, *completed(loaded.model, request, motion))
    if record:
        replay.check_replay(record, loaded.model.name, spec.weights(loaded.model, settings, loaded.rewards))
        if note := replay.other_versions(record, versions()):
            sys.stderr.write(f"{note}\n")
    with interruptible() as should_stop:
        video = _made(loaded, request, motion, should_stop)
    if video is None:
        sys.stderr.write("Stopped; nothing was written.\n")
        return
    sys.stdout.writelines(f"{line}\n" for line in folder.write(video, options.out))
    _summary(video, options.out)


def _asked(options: Options) -> tuple["Request", "Motion", dict[str, Any]]:
    from maskunet.records.video import Motion
    from maskunet.runs.video import folder

    if options.replay:
        found = folder.read(options.replay)
        request, motion, _ = found
        check_repeats(options, FREE, {**asdict(motion), **asdict(request), "set": dict(request.settings)})
        return found
    given = {each.name: getattr(options, each.name) for each in fields(Motion) if hasattr(options, each.name)}
    motion = Motion(**given, cross_frame=not options.alone)
    return options.request(options.prompt, negative_prompt=options.negative_prompt), motion, {}


def _made(loaded: Any, request: "Request", motion: "Motion", should_stop: Any) -> "Video | None":
    """Draw a progress bar for each phase; returns the video, or None if it was stopped."""
    from maskunet.records.video import VideoEvent
    from maskunet.runs.video.make import make

    line, shown = None, ""
    try:
        for item in make(loaded.model, loaded.rewards, request, motion):
            if not isinstance(item, VideoEvent):
                return item
            if should_stop():
                return None
            if item.phase != shown:
                if line is not None:
                    line.close()
                line, shown = bar("step", item.steps, desc=NAMES[item.phase]), item.phase
            line.n = item.step + 1
            line.refresh()
    finally:
        if line is not None:
            line.close()
    raise AssertionError("a video ends in itself")


NAMES = {"search": "masks", "first": "first frame", "frames": "all frames"}


def _summary(video: "Video", out: Path) -> None:
    right = [each["right"] for each in video.verdict]
    lines = [
        f"{out}: {video.motion.frames} frames, {video.seconds:.1f} s, {video.unet_calls} U-Net calls, "
        f"removed {1 - video.keep_ratio:.2%} of the weights at the masked sites",
        f"moving {video.moving:.1f} from frame to frame, {video.drift:.1f} from the first, of 255 levels",
    ]
    if right and None not in right:
        lines.append(f"{sum(right)} of {len(right)} frames show what was asked for, by the checker")
    sys.stdout.write("\n".join(lines) + "\n")


SPEC = CommandSpec(name="video", title="a short video of a prompt, with or without masks", options=Options, run=run)
