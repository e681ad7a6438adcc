"""A video as a folder: its frames, animations of them, and how it was made."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskunet.machine import versions
from maskunet.prompts.words import shortened
from maskunet.records import Request
from maskunet.records.disk import whole
from maskunet.records.table import csv_text
from maskunet.records.video import Motion, Video, motion_of
from maskunet.runs import replay

RECORD, WEBP, GIF, MP4, TABLE = "video.json", "video.webp", "video.gif", "video.mp4", "frames.csv"
PACE = 250  # milliseconds of a frame, here; the published code shows 2 in a second
CODER = "ffmpeg"  # makes the MP4 where it is installed


def check_place(folder: Path) -> None:
    """Refuse a folder that holds anything but a video, before minutes of work are spent.

    Raises:
        ValueError: `folder` is a file, holds files of another kind, or cannot be replaced.
    """
    whole.check(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"“{folder.name}” is a file. Give the name of a folder for the video.")
    known = {RECORD, WEBP, GIF, MP4, TABLE}
    inside = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if any(name not in known and not (name.startswith("frame-") and name.endswith(".png")) for name in inside):
        raise ValueError(f"The folder “{folder.name}” holds other files. Give another one.")


def check_there(folder: Path, request: Request, motion: Motion) -> None:
    """Refuse a folder with the video of another request; the very same one may be made again.

    Args:
        request, motion: as `make.completed` has them.

    Raises:
        ValueError: another video would be lost.
    """
    try:
        there, moved, _ = read(folder / RECORD)
    except (OSError, ValueError):  # no video that could be lost
        return
    if (replace(request, previews=True, statistics=True, keep_masks=False), motion) != (there, moved):
        raise ValueError(f"The folder “{folder.name}” holds the video of another request. Give another --out.")


def write(video: Video, folder: Path) -> list[str]:
    """Write a video as `folder`, all or nothing; an earlier video there is replaced.

    Returns:
        One line per kind of file, or why there is none.

    Raises:
        ValueError: the disk is full, the place cannot be written, or `folder` holds other files.
    """
    check_place(folder)
    told = []
    with whole.telling("video"), whole.folder(folder) as fresh:
        for number, frame in enumerate(video.frames):
            Image.fromarray(frame).save(fresh / f"frame-{number:02d}.png")
        animate(video.frames, fresh / WEBP)
        animate(video.frames, fresh / GIF)
        told.append(f"{len(video.frames)} frames, {WEBP} and {GIF}")
        told.append(_mp4(video.frames, fresh))
        (fresh / TABLE).write_bytes(csv_text(rows(video)).encode())
        _write(record(video), fresh)
    return told


def write_beside(videos: Sequence[Video], folder: Path) -> None:
    """Write videos of one prompt as one animation, each as a WebP by its number, their numbers, and the last one's record.

    Raises:
        ValueError: the disk is full, or the place cannot be written.
    """
    with whole.telling("video"), whole.folder(folder) as fresh:
        for number, video in enumerate(videos):
            animate(video.frames, fresh / f"{number}.webp")
        frames = beside([video.frames for video in videos])
        animate(frames, fresh / WEBP)
        animate(frames, fresh / GIF)
        _mp4(frames, fresh)
        numbers = [video.numbers() for video in videos]
        (fresh / TABLE).write_bytes(csv_text(numbers).encode())
        made = record(videos[-1]) | {"numbers": numbers}
        _write(made, fresh)


def _write(made: Mapping[str, Any], folder: Path) -> None:
    text = json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def beside(videos: Sequence[np.ndarray]) -> np.ndarray:
    """Videos (F, H, W, 3) side by side, with a white gap between them."""
    frames, height, width = videos[0].shape[:3]
    gap = np.full((frames, height, max(2, width // 32), 3), 255, np.uint8)
    parts = [part for video in videos for part in (gap, video)]
    return np.concatenate(parts[1:], axis=2)


def animate(frames: np.ndarray, path: Path) -> None:
    """Write frames (F, H, W, 3) as an endless WebP or GIF, by the name's ending."""
    first, *others = map(Image.fromarray, frames)
    how = {"quality": 90, "method": 4} if path.suffix == ".webp" else {"optimize": True}
    first.save(path, save_all=True, append_images=others, duration=PACE, loop=0, **how)


def _mp4(frames: np.ndarray, folder: Path) -> str:
    """Write the MP4 where there is a coder; says so, or why not."""
    if not shutil.which(CODER):
        return f"{MP4}: not made. It needs {CODER}, which is not installed."
    height, width = (side - side % 2 for side in frames.shape[1:3])  # its colors come in blocks of 2 x 2
    words = [
        CODER, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
        "-r", str(1000 / PACE), "-i", "-", "-pix_fmt", "yuv420p", str(folder / MP4),
    ]  # fmt: skip
    done = subprocess.run(words, input=frames[:, :height, :width].tobytes(), capture_output=True, check=False)
    if done.returncode:
        (folder / MP4).unlink(missing_ok=True)
        return f"{MP4}: not made. {CODER} says: {shortened(done.stderr.decode(errors='replace').strip(), 200)}"
    return MP4


def rows(video: Video) -> list[dict[str, Any]]:
    """A line for each frame: how far it is from the one before and from the first, of 255 levels, and the verdict."""
    frames = video.frames.astype(np.float32)
    return [
        {
            "frame": number,
            "to_the_one_before": float(np.abs(frame - frames[max(0, number - 1)]).mean()),
            "to_the_first": float(np.abs(frame - frames[0]).mean()),
            **(video.verdict[number] if video.verdict else {}),
        }
        for number, frame in enumerate(frames)
    ]


def record(video: Video) -> dict[str, Any]:
    """What determines a video, what it cost, and what it came to; plain JSON."""
    request = asdict(video.request)
    for name in ("previews", "statistics", "keep_masks"):
        request.pop(name)
    return {
        "request": request, "motion": asdict(video.motion), "settings": dict(video.settings),
        "weights": dict(video.weights), "versions": versions(), "keep_ratio": video.keep_ratio,
        "seconds": round(video.seconds, 2), "unet_calls": video.unet_calls, "moving": video.moving, "drift": video.drift,
        "moved": video.moved, "consistency": video.consistency, "same_as_first": video.same,
    }  # fmt: skip


def read(path: Path) -> tuple[Request, Motion, dict[str, Any]]:
    """What a video.json asks for, checked like something typed by hand, and all it says.

    Raises:
        ValueError: it is none, or a value is unknown or out of range; says which.
    """
    with path.open("rb") as file:
        found = replay.parse(file.read(replay.MAX_RECORD + 1))
    motion = found.get("motion")
    if not isinstance(motion, Mapping):
        raise ValueError(f"“{path.name}” is no {RECORD}: it does not say how frames move.")
    known, unknown = motion_of(motion)
    if unknown:
        raise ValueError(f"The motion has an unknown entry “{shortened(str(next(iter(unknown))), 40)}”.")
    return replay.request_of(found), known, found
