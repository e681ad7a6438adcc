"""What a browser remembers of a job and of the runs that came of it: plain values that it may lose or change."""

import secrets
from collections.abc import Sequence
from typing import Any

from typing_extensions import TypedDict  # the standard library's cannot be checked before Python 3.12

from maskunet.records import Request, Run
from maskunet.ui import links
from maskunet.ui.html import pictures

LENGTH = 24  # runs; thumbnails are small, so the browser's storage holds them
REMOVED = "removed"  # the state of a run that was taken off the list, lest the job that it came of brings it back


class Remembered(TypedDict, total=False):
    """A job, or a run that is over; then also how it ended, by how much the reward rose, and a small picture.

    `query` is what a link to a job says, see `links.query`.
    """

    id: str
    prompt: str
    seed: str  # a browser's numbers are exact up to 2^53 only
    model: str
    method: str
    query: str
    state: str
    gain: float | None
    picture: str


def owner(known: Any) -> str:
    """The browser's id, or one for a browser that has none."""
    return known if isinstance(known, str) and 0 < len(known) <= 64 else secrets.token_hex(8)


def job(job_id: str, asked: Request) -> Remembered:
    """A job that was queued a moment ago."""
    names = {"prompt": asked.prompt, "seed": str(asked.seed), "model": asked.model, "method": asked.method}
    return Remembered(id=job_id, query=links.query(asked), **names)


def with_run(kept: Sequence[Remembered] | None, run: Run) -> list[Remembered]:
    """The list with this run first, unless it was taken off."""
    if any(old.get("id") == run.id and old.get("state") == REMOVED for old in kept or []):
        return [*kept]
    rise = run.rewards["total"] - run.base_rewards["total"] if run.rewards and run.base_rewards else None
    names = {"prompt": run.request.prompt[:120], "seed": str(run.request.seed)}
    new = Remembered(
        id=run.id,
        **names,
        model=run.request.model,
        method=run.request.method,
        state=run.state,
        gain=rise,
        picture=pictures.uri(run.result_image, 96),
    )
    return [new, *(old for old in kept or [] if old.get("id") != run.id)][:LENGTH]


def without_run(kept: Sequence[Remembered], run_id: str) -> list[Remembered]:
    """The list without a run, of which only the id stays."""
    left = [item for item in kept if item.get("id") != run_id]
    return [Remembered(id=run_id, state=REMOVED), *left] if len(left) < len(kept) else left


def listed(kept: Sequence[Remembered]) -> list[Remembered]:
    """The runs that are on the list."""
    return [item for item in kept if item.get("state") != REMOVED]
