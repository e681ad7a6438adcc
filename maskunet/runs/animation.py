"""A run to show around: its steps as animated WebP and GIF, and its pictures with a caption."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from maskunet.records import Run
from maskunet.records.disk import whole
from maskunet.runs.grid.sheet import GAP, GROUND, INK, MARGIN, SOFT, font, wrapped

NAMES = ("steps.webp", "steps.gif", "card.png")
EDGE = 256  # pixels of each picture of an animation
CARD = 512  # of each on a card, at most
MAX_KEPT = 20  # runs whose files the page keeps
FRAMES = 50  # of an animation, at most; the first and the last step are among them
PACE, REST = 250, 1500  # milliseconds of a frame, and of the last one
SIZE, LINE = 14, 20  # of the text, pixels


def write(run: Run, out: Path) -> Iterator[str]:
    """Write steps.webp, steps.gif and card.png.

    Yields:
        One line per file, or why there is none.
    """
    whole.write(out / NAMES[2], _file(card(run), "PNG"))
    yield f"Both pictures with a caption: {NAMES[2]}"
    if run.course is None:
        yield "Steps as an animation: not made. This run kept no pictures of its steps."
        return
    shown = frames(run)
    times = [*[PACE] * (len(shown) - 1), REST]
    how = {"save_all": True, "append_images": shown[1:], "duration": times, "loop": 0}
    whole.write(out / NAMES[0], _file(shown[0], "WEBP", quality=85, method=4, **how))
    whole.write(out / NAMES[1], _file(shown[0], "GIF", optimize=True, **how))
    yield f"Steps as an animation: {NAMES[0]}, {NAMES[1]}"


def frames(run: Run) -> list[Image.Image]:
    """The predicted pictures step by step, unmasked left and masked right, at most 50 of them.

    Raises:
        ValueError: the run kept no pictures of its steps.
    """
    if run.course is None:
        raise ValueError(
            "This run kept no pictures of its steps. Make one with previews and with its unmasked picture."
        )
    steps = len(run.course.timesteps)
    shown = range(steps) if steps <= FRAMES else np.linspace(0, steps - 1, FRAMES).round().astype(int).tolist()
    said = [f"“{run.request.prompt}”, seed {run.request.seed}"]
    return [
        _framed([run.course.base[i], run.course.result[i]], EDGE, _names(run), [*said, f"step {i + 1} of {steps}"])
        for i in shown
    ]


def card(run: Run) -> Image.Image:
    """The run's pictures with what was asked and what came out."""
    images = [image for image in (run.base_image, run.result_image) if image is not None]
    request, names = run.request, _names(run)
    where = f"{request.model}, {request.steps} steps, guidance {request.guidance or 0:g}"
    lines = [f"“{request.prompt}”, seed {request.seed}", where, f"{1 - run.keep_ratio:.1%} of the weights removed"]
    lines[-1] += "" if run.state == "done" else f"; {run.state} before its end"
    if run.rewards:
        scored = zip(names, (run.base_rewards, run.rewards), strict=True)
        names = [f"{name}: reward {rewards['total']:.2f}" if rewards else name for name, rewards in scored]
    judged = zip(names, (run.base_verdict, run.verdict), strict=True)
    names = [f"{name}; {verdict(said)}" if said else name for name, said in judged]
    return _framed(images, CARD, names[-len(images) :], lines)


def verdict(said: Mapping[str, Any]) -> str:
    """What the checker saw in a picture, with a mark where it can tell right from wrong."""
    mark = {True: "✓ ", False: "✗ "}.get(said.get("right"), "")
    spoiled = f" in a {said['spoiled']} picture" if said.get("spoiled") else ""
    return f"{mark}the checker saw {said.get('saw', '')}{spoiled}"


def folder_of(run_id: str, folder: Path) -> Path:
    """Where `shared` puts the files of a run."""
    return folder / f"maskunet-{run_id}"


def shared(run: Run, folder: Path) -> list[Path]:
    """The files of `write` in a folder of the run's own under `folder`, made once; the newest 20 runs' are kept.

    Raises:
        ValueError: the disk is full, or may only be read.
    """
    place = folder_of(run.id, folder)
    with whole.telling("pictures to share"):
        if not (place / NAMES[2 if run.course is None else 1]).is_file():  # the last one written
            place.mkdir(parents=True, exist_ok=True)
            for _ in write(run, place):
                pass
        others = (path for path in folder.iterdir() if path.is_dir() and path != place)
        for old in sorted(others, key=lambda path: path.stat().st_mtime)[: 1 - MAX_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return [place / name for name in NAMES if (place / name).is_file()]


def _names(run: Run) -> list[str]:
    preset = f"/{run.request.preset}" if run.request.preset else ""
    return ["unmasked", f"{run.request.method}{preset}"]


def _framed(images: Sequence[np.ndarray], edge: int, names: Sequence[str], lines: Sequence[str]) -> Image.Image:
    """Pictures beside each other, their names below them, and lines of text below all."""
    pictures = [_sized(Image.fromarray(image), edge) for image in images]
    width = sum(picture.width + GAP for picture in pictures) - GAP + 2 * MARGIN
    of, height = font(SIZE), max(picture.height for picture in pictures)
    under = [wrapped(name, picture.width, of, 4) for name, picture in zip(names, pictures, strict=True)]
    text = [part for line in lines for part in wrapped(line, width - 2 * MARGIN, of, 6)]
    rows = max(map(len, under))
    sheet = Image.new("RGB", (width, height + 3 * MARGIN + (rows + len(text)) * LINE), GROUND)
    pen, left = ImageDraw.Draw(sheet), MARGIN
    for picture, name in zip(pictures, under, strict=True):
        sheet.paste(picture, (left, MARGIN))
        for i, line in enumerate(name):
            pen.text((left, MARGIN + height + 4 + i * LINE), line, fill=SOFT, font=of)
        left += picture.width + GAP
    for i, line in enumerate(text):
        pen.text((MARGIN, 2 * MARGIN + height + (rows + i) * LINE), line, fill=INK, font=of)
    return sheet


def _sized(picture: Image.Image, edge: int) -> Image.Image:
    """Its longer edge as asked, so that the text under a small picture can be read."""
    scale = edge / max(picture.size)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)


def _file(picture: Image.Image, kind: str, **how: object) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **how)
    return out.getvalue()
