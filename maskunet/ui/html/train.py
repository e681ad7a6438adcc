"""What the Train tab shows: how far a training is, its curves, and its samples beside the base model's."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from maskunet.records.training import BaseSamples, TrainState
from maskunet.ui import words
from maskunet.ui.html import pictures, plots
from maskunet.ui.html import status as status_line
from visualize import SPECS
from visualize.base import spread

POINTS = 120  # steps drawn; a page is sent all of them again every second
SHEET = 1024  # pixels along a sheet
Rows = Sequence[Mapping[str, Any]]


def status(state: TrainState) -> str:
    """The line under the buttons: how far, how long still, and in the end where it was kept."""
    event = state.events[-1] if state.events else None
    step, steps = (event.step, event.steps) if event else (0, 0)
    prepared = state.prepared if state.phase == "preparing" else None
    if state.over:
        said = f"{words.TRAINING_PHASES[state.phase]}. " if state.phase != "failed" else f"{state.message} "
        left_out = "".join(f" {each}" for each in (event.left_out if event else []))
        said += words.kept(state.request.model, state.request.name, state.saved, steps) + left_out
        return status_line.failed(said) if state.phase == "failed" else status_line.said(said)
    left = words.left(event.seconds_left) if event and state.phase == "training" else ""
    told = (
        words.preparing(prepared.done, prepared.total, prepared.what)
        if prepared
        else words.training(state.phase, step, steps)
    )
    share = prepared.done / prepared.total if prepared else step / (steps or 1)
    return status_line.going(f"“{state.request.name}”", f": {told}", f"{words.seconds(state.seconds)}{left}", share)


def curves(state: TrainState) -> str:
    """Loss step by step and, from the first checkpoint on, what was measured; nothing before the first step."""
    rows = SPECS["training_curve"].table(state.events)
    if not rows:
        return ""
    measured = [row for row in rows if row.get("held_out_loss_change") is not None]
    parts = [_loss([rows[i] for i in spread(len(rows), POINTS)])]
    if measured:
        parts.append(_held_out(measured, state.base.held_out))
    ordered = [row for row in rows if row.get("unseen_right") is not None]
    if ordered:
        parts.append(_ordered(ordered))
    changes = [name.removesuffix("_change") for name in rows[0] if name.endswith("_change")]
    judged = [name for name in changes if f"{name}_error" in rows[0]]
    if judged:
        parts.append(_judged([row for row in rows if row[f"{judged[0]}_change"] is not None], judged))
    if measured and "removed" in measured[0]:
        parts += [_removed(measured), _distances(measured)]
    return f'<div class="plots">{"".join(parts)}</div>'


def _loss(rows: Rows) -> str:
    n = rows[-1]["n"]
    series = [("loss_mean", f"mean of {n} steps", "a"), ("loss", words.ONE_STEP, "all")]
    drawn = plots.lines(rows, series, x="step", xlabel=words.LEARNING_STEP, ylabel=words.LOSS)
    return plots.framed(words.LOSS, drawn, rows, "loss", words.loss_hint(n))


def _held_out(rows: Rows, n: int) -> str:
    drawn = plots.lines(
        rows, [("held_out_loss_change", words.HELD_OUT, "b")], x="step", xlabel=words.LEARNING_STEP,
        ylabel=words.HELD_OUT_CHANGE, level=0.0, floor=None,
    )  # fmt: skip
    return plots.framed(words.HELD_OUT, drawn, rows, "held_out", words.held_out_hint(n))


def _ordered(rows: Rows) -> str:
    """How well pairs that no step trains on are told apart."""
    drawn = plots.lines(
        rows, [("unseen_right", words.UNSEEN, "a")], x="step", xlabel=words.LEARNING_STEP, ylabel=words.SHARE,
        ys=plots.percent, level=0.5, floor=None,
    )  # fmt: skip
    return plots.framed(words.UNSEEN, drawn, rows, "unseen", words.UNSEEN_HINT)


def _judged(rows: Rows, names: Sequence[str]) -> str:
    """What rewards, and the checker where it is asked, say of pictures for prompts that no step trains on."""
    classes = ("a", "b", "image", "all")
    series = [(f"{name}_change", name, classes[i % len(classes)]) for i, name in enumerate(names)]
    drawn = plots.lines(
        rows, series, x="step", xlabel=words.LEARNING_STEP, ylabel=words.JUDGED_CHANGE, level=0.0, floor=None
    )
    return plots.framed(words.JUDGED, drawn, rows, "judged", words.JUDGED_HINT)


def _removed(rows: Rows) -> str:
    series = [("removed", words.AS_USED, "a"), ("expected", words.WHEN_DRAWN, "image")]
    drawn = plots.lines(rows, series, x="step", xlabel=words.LEARNING_STEP, ylabel=words.REMOVED, ys=plots.percent)
    return plots.framed(words.RATIO, drawn, rows, "removed", words.MASKS_HINT)


def _distances(rows: Rows) -> str:
    series = [("distance_time", words.OVER_TIME, "a"), ("distance_sample", words.OVER_SAMPLES, "b")]
    drawn = plots.lines(rows, series, x="step", xlabel=words.LEARNING_STEP, ylabel=words.SHARE, ys=plots.percent)
    return plots.framed(words.DISTANCES, drawn, rows, "distances", words.MASKS_HINT)


def samples(state: TrainState) -> str:
    """The newest checkpoint's samples under the base model's, and those of the checkpoints before."""
    if state.base is None:
        return ""
    *earlier, newest = [None, *((words.samples_at(step), sheet) for step, sheet in state.sheets.items())]
    rows = [_row(words.BASE_ROW, state.base.sheet, state.base)]
    rows += [_row(*newest, state.base)] if newest else []
    before = "".join(_row(*one, state.base) for one in reversed(earlier) if one)
    more = f"<details><summary>{words.EARLIER}</summary>{before}</details>" if before else ""
    notes = "".join(f'<p class="hint">{escape(note)}</p>' for note in state.base.notes)
    prompts = "".join(f"<span>{escape(caption)}</span>" for caption in state.base.captions)
    return (
        f'<section class="sheets"><h4>{words.SAMPLES}</h4>{"".join(rows)}'
        f'<p class="prompts">{prompts}</p>{notes}{more}</section>'
    )


def _row(name: str, sheet: np.ndarray, base: BaseSamples) -> str:
    return pictures.figure(sheet, name, f"{name}: {'; '.join(base.captions)}", SHEET)
