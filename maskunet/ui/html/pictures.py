"""Pictures and numbers as HTML fragments: previews, the pair, facts. All text is escaped here."""

import base64
from collections.abc import Mapping
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from maskunet.records import Request, Run
from maskunet.records.added import READINGS
from maskunet.ui import additions_words, opening_words, words
from maskunet.ui.html import plots

PREVIEW = 256  # pixels along the edge of what is streamed
ZOOM = 'data-zoom tabindex="0" role="button"'  # of a picture that opens large, see `ui.lightbox`


def uri(image: np.ndarray, size: int = PREVIEW, kind: str = "jpeg") -> str:
    """A data URI of an (H, W, 3) uint8 picture, at most `size` pixels along an edge."""
    picture = Image.fromarray(image)
    if max(picture.size) > size:
        picture.thumbnail((size, size))
    out = BytesIO()
    picture.save(out, kind, **({"quality": 88} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"


def small(image: np.ndarray) -> str:
    """A data URI of a picture of the strip."""
    return uri(image, 128)


def strip(frames: Mapping[int, str]) -> str:
    """One small picture per denoising step, the newest step last; nothing without any.

    Args:
        frames: of `small`, by step from 0.
    """
    if not frames:
        return ""
    cells = "".join(
        f'<figure><img {ZOOM} src="{frame}" alt="Predicted image after step {step + 1}">'
        f"<figcaption>{step + 1}</figcaption></figure>"
        for step, frame in sorted(frames.items())
    )
    return f'<h4>{words.FILMSTRIP}</h4><div class="strip" tabindex="0">{cells}</div>'


def figure(image: np.ndarray | None, caption: str, alt: str, size: int = PREVIEW, kind: str = "jpeg") -> str:
    """One picture with its caption, or an empty frame while there is none."""
    inside = (
        '<div class="blank"></div>'
        if image is None
        else f'<img {ZOOM} src="{uri(image, size, kind)}" alt="{escape(alt, quote=True)}">'
    )
    return f"<figure>{inside}<figcaption>{escape(caption)}</figcaption></figure>"


def pair(base: np.ndarray | None, result: np.ndarray | None, names: tuple[str, str], prompt: str, **kind) -> str:
    """Two pictures side by side."""
    left = figure(base, names[0], f"{names[0]}: {prompt}", **kind)
    right = figure(result, names[1], f"{names[1]}: {prompt}", **kind)
    return f'<div class="pair">{left}{right}</div>'


def difference(run: Run) -> str:
    """Where the two pictures of a run differ."""
    if run.base_image is None:
        return empty(words.EMPTY_PAIR)
    gap = np.abs(run.result_image.astype(np.int16) - run.base_image)
    shown = figure(
        np.clip(gap * 3, 0, 255).astype(np.uint8),
        f"{words.DIFFERENCE_NOTE} Mean {gap.mean():.2f}, largest {gap.max()} of 255.",
        "Difference of the two pictures",
        1024,
        "png",
    )
    return f'<div class="pair one">{shown}</div>'


def judged(run: Run, titles: Mapping[str, str]) -> str:
    """Both pictures side by side, with what is said of each below it."""
    base = run.base_image if run.base_image is not None else run.result_image
    cells = "".join(
        f'<figure><img {ZOOM} src="{uri(image, 1024, "png")}" alt="{escape(f"{name}: {run.request.prompt}", quote=True)}">'
        f"<figcaption>{text}</figcaption></figure>"
        for image, name, text in zip((base, run.result_image), names(run, titles), said(run, titles), strict=True)
    )
    return f'<div class="pair">{cells}</div>'


def said(run: Run, titles: Mapping[str, str]) -> tuple[str, str]:
    """What stands under the two pictures of a run: what made it, what the checker saw, and the rewards."""
    judgments = (run.base_verdict, run.base_rewards), (run.verdict, run.rewards)
    return tuple(
        f"<b>{escape(name)}</b>{verdict(said)}{_scores(rewards, titles)}"
        for name, (said, rewards) in zip(names(run, titles), judgments, strict=True)
    )


def verdict(said: Mapping[str, Any]) -> str:
    """What the checker saw, with a mark where it can tell right from wrong; nothing where there is no checker."""
    if not said:
        return ""
    mark = {True: ("✓", opening_words.RIGHT), False: ("✗", opening_words.WRONG)}.get(said.get("right"))
    look = "" if mark is None else f" {'right' if said['right'] else 'wrong'}"
    sign = "" if mark is None else f'<i role="img" aria-label="{mark[1]}">{mark[0]}</i> '
    spoiled = opening_words.spoiled(said["spoiled"]) if said.get("spoiled") else ""
    return f'<span class="verdict{look}">{sign}{escape(opening_words.saw(str(said.get("saw", "")))[:300])}{escape(spoiled[:60])}</span>'


def _scores(rewards: Mapping[str, float], titles: Mapping[str, str]) -> str:
    each = ", ".join(f"{titles.get(name, name)} {value:.2f}" for name, value in rewards.items() if name != "total")
    return f'<span class="scores">{escape(each or words.NOT_SCORED)}</span>'


def names(run: Run, titles: Mapping[str, str]) -> tuple[str, str]:
    """What stands under the two pictures of a run; of one that was stopped also how far it came."""
    base, result = titled(run.request.model, run.request.method, titles)
    if not run.rows or run.rows[-1].get("final"):
        return base, result
    step = max(row["step"] for row in run.rows) + 1
    return base, f"{result}, {opening_words.predicted(step, run.request.steps or step)}"


def titled(model: str, method: str, titles: Mapping[str, str]) -> tuple[str, str]:
    """What stands under two pictures of one model: its name, and the method."""
    return f"{titles.get(model, model)}, unmasked", titles.get(method, method)


def facts(run: Run, titles: Mapping[str, str], precomputed: bool = False) -> str:
    """What was asked and what came out, in a sentence and four numbers."""
    request = run.request
    badge = f'<span class="badge">{words.PRECOMPUTED}</span> ' if precomputed else ""
    where = f"on {run.device}, {run.created[:10]}"
    state = f" {cut_short(run.state)}" if run.state != "done" else ""
    method = titles.get(request.method, request.method)
    preset = f", preset {request.preset}" if request.preset else ""
    line = (
        f'{badge}<span class="asked" title="{escape(request.prompt, quote=True)}">“{escape(request.prompt)}”</span>, '
        f"seed {request.seed}. "
        f"{escape(method)}{escape(preset)}{escape(_added(request))}; {escape(where)}.{state}"
    )
    note = f'<p class="note">{escape(run.note)}</p>' if run.note else ""
    tiles = [
        ("Removed", plots.percent(1 - run.keep_ratio), "of the weights under masks"),
        _reward_tile(run),
        ("Time", words.seconds(run.seconds), f"unmasked {words.seconds(run.base_seconds)}"),
        ("U-Net calls", f"{run.unet_calls}", f"unmasked {run.base_unet_calls}"),
    ]
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value}<small>{detail}</small></dd></div>" for name, value, detail in tiles
    )
    return f'<p class="said">{line}</p>{note}<dl class="facts">{cells}</dl>'


def _added(request: Request) -> str:
    """What is on the model, such as “, LoRA metal at 0.8, on the base's weights, embedding <cat>”."""
    loras, embeddings, masks = request.added
    found = [f", LoRA {name} at {weight:g}" for name, weight in loras]
    found += [additions_words.BASE] * (masks != READINGS[0])
    return "".join([*found, *(f", embedding {token or name}" for name, token in embeddings)])


def cut_short(state: str) -> str:
    """A badge that says how a run ended that was not finished."""
    return f'<span class="badge warn">{escape(words.PHASES.get(state, state))}</span>'


def _reward_tile(run: Run) -> tuple[str, str, str]:
    if not run.rewards:
        return "Reward", words.NOT_SCORED, ""
    after = run.rewards["total"]
    if not run.base_rewards:
        return "Reward", f"{after:.2f}", "of the result"
    before = run.base_rewards["total"]
    return "Reward", f"{before:.2f} → {after:.2f}", opening_words.TOTAL_OF


def empty(text: str) -> str:
    """A quiet placeholder."""
    return f'<div class="empty">{escape(text)}</div>'
