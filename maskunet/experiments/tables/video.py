"""The table of videos: the same prompts and noise under every way of making a video, judged frame by frame.

The paper's Figure 7 shows videos with and without masks and no figures. On tabletop the checker reads every frame, so
that what a video should keep can be counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from maskunet import seeds
from maskunet.encoders.pixels import from_uint8
from maskunet.evaluation.intervals import clustered
from maskunet.library.library import Loaded
from maskunet.records import Request
from maskunet.records.video import Motion, Video
from maskunet.runs.entrant import entrant
from maskunet.runs.video.make import make as make_video
from maskunet.tabletop.render import MIDDLE, project
from maskunet.tabletop.scenes import Thing
from maskunet.tabletop.tasks import Case

TITLE = "Videos: what frames keep, with and without masks"
TASKS = ("colors", "two", "color_attribution")
PLAIN, INDEPENDENT, MOST = "plain", "independent seeds", "most"
FIGURES = ("identity", "count", "motion", "appearance", "right")
KEPT, ABOVE = 0.80, 0.25  # what identity was meant to reach, also above independent seeds
PATCH = 4  # pixels around the middle of a thing, whose mean color is compared
LEAST = 4  # frames in which a thing must be found alone, for a slope


@dataclass(frozen=True, slots=True)
class Way:
    """A row: a method as `entrant` reads it, and what is changed of the motion.

    Attributes:
        like: the row whose share of removed weights a random mask takes.
        apart: every frame is a picture of its own seed.
    """

    method: str
    changes: Mapping[str, Any]
    like: str = ""
    apart: bool = False


WAYS = {
    PLAIN: Way("plain", {}),
    "trained masks, of the video": Way("maskunet_trained", {}),
    "trained masks, of each frame": Way("maskunet_trained", {"mask_per": "frame"}),
    "training-free masks of frame 1": Way("maskunet_free", {}),
    "random masks, as many as trained": Way("random_mask", {}, like="trained masks, of the video"),
    "random masks, as many as training-free": Way("random_mask", {}, like="training-free masks of frame 1"),
    "no look at frame 1": Way("plain", {"cross_frame": False}),
    "no motion": Way("plain", {"right": 0.0}),
    INDEPENDENT: Way("plain", {"right": 0.0}, apart=True),
}
# Neighbors among the timesteps of 15 steps. The later they are, the more is kept and the less is drawn anew, so a model's own
# are the earliest ones that keep not clearly less than the best, on training prompts.
TIMES = ((466, 533), (400, 466), (333, 400), (266, 333), (200, 266), (133, 200), (67, 133))
ROWS = {
    "test": WAYS,
    "train": {
        PLAIN: WAYS[PLAIN],
        **{f"t0 {t0}, t1 {t1}": Way("plain", {"t0": t0, "t1": t1}) for t0, t1 in TIMES},
        INDEPENDENT: WAYS[INDEPENDENT],
    },
}


def make(
    loaded: Loaded,
    asked: Request,
    motion: Motion,
    subjects: Sequence[tuple[Case, int]],
    ways: Mapping[str, Way],
    done: Sequence[Mapping[str, Any]] = (),
    should_stop: Callable[[], str] = str,
) -> Iterator[dict[str, Any]]:
    """Make and judge what is missing: all ways of a prompt and seed before the next.

    Args:
        loaded: the base model, with the checker. asked: model, steps and guidance; the rest is replaced.
        subjects: prompts with their seeds. ways: the rows, of ROWS. done: rows of an earlier run.

    Yields:
        The row of `judged` with the way's name as `row`, and what it cost.
    """
    made = {(row["row"], row["prompt"], row["seed"]): row for row in done}
    for case, seed in subjects:
        for name, way in ways.items():
            if (name, case.prompt, seed) in made:
                continue
            request = _request(
                way, replace(asked, prompt=case.prompt, seed=seed), made.get((way.like, case.prompt, seed))
            )
            video = _made(loaded, way, request, replace(motion, **way.changes), should_stop)
            if video is None:
                return
            made[name, case.prompt, seed] = row = {
                "row": name, "task": case.task, "prompt": case.prompt, "seed": seed, "keep_ratio": video.keep_ratio,
                "seconds": video.seconds, "unet_calls": video.unet_calls, **judged(video, case, loaded.checker),
            }  # fmt: skip
            yield row


def _request(way: Way, asked: Request, like: Mapping[str, Any] | None) -> Request:
    """The way's request; all are sampled by the same solver."""
    request = entrant(way.method).request(asked)
    removed = {"removed": 1 - like["keep_ratio"]} if like else {}
    return replace(request, settings={**request.settings, "second_order": True, **removed})


def _made(loaded: Loaded, way: Way, request: Request, motion: Motion, should_stop: Callable[[], str]) -> Video | None:
    """The video of one way; None if it was stopped."""
    drawn = seeds.of_candidates(request.seed, motion.frames) if way.apart else [request.seed]
    each = replace(motion, frames=1) if way.apart else motion
    parts: list[Video] = []
    for seed in drawn:
        for item in make_video(loaded.model, loaded.rewards, replace(request, seed=seed), each):
            if isinstance(item, Video):
                parts.append(item)
            elif should_stop():
                return None
    seconds, calls = (sum(getattr(part, name) for part in parts) for name in ("seconds", "unet_calls"))
    frames = np.concatenate([part.frames for part in parts])
    return replace(
        parts[0], motion=replace(parts[0].motion, frames=len(frames)), frames=frames, seconds=seconds, unet_calls=calls
    )


@torch.no_grad()
def judged(video: Video, case: Case, checker: Any) -> dict[str, Any]:
    """What the checker says of the frames of a video.

    Returns:
        identity: share of the frames after the first whose things have the first frame's colors and shapes.
        count: share of them with as many things. right: share of all frames that show what is asked.
        motion: how far things go to the right in a frame, in shares of the picture, as the mean slope of those that are
            alone of their kind; None where the checker follows none. asked: what it should be.
        appearance: standard deviation over the frames of their mean color, of 255 levels; None as `motion`.
        things: how many it sees in the first frame.
    """
    images = from_uint8(video.frames)
    seen = checker.see(images)
    kinds = [Counter(_kind(thing) for thing in things) for things in seen]
    tracks = list(_tracks(seen, kinds))
    slopes = [np.polyfit(*zip(*((n, place[0]) for n, place in track), strict=True), 1)[0] for track in tracks]
    colors = [_wandering(video.frames, track) for track in tracks]
    return {
        "identity": _mean([kind == kinds[0] for kind in kinds[1:]]),
        "count": _mean([kind.total() == kinds[0].total() for kind in kinds[1:]]),
        "right": _mean([case.satisfied(things) for things in seen]),
        "motion": _mean(slopes), "asked": video.motion.right, "appearance": _mean(colors), "things": len(seen[0]),
    }  # fmt: skip


Track = list[tuple[int, tuple[float, float]]]  # frames, with the place of a thing right and down, shares of the picture


def _tracks(seen: Sequence[Sequence[Thing]], kinds: Sequence[Counter]) -> Iterator[Track]:
    """Of each thing that is alone of its kind in the first frame, where it is in the frames in which it still is."""
    for kind in [kind for kind, count in kinds[0].items() if count == 1]:
        found = [
            (number, next(thing for thing in things if _kind(thing) == kind))
            for number, things in enumerate(seen)
            if kinds[number][kind] == 1
        ]
        if len(found) >= LEAST:
            places = project([(thing.x, thing.y, MIDDLE * thing.radius) for _, thing in found]).tolist()
            yield [(number, (right, down)) for (number, _), (right, down) in zip(found, places, strict=True)]


def _kind(thing: Thing) -> tuple[str, str]:
    return thing.color, thing.shape


def _wandering(frames: np.ndarray, track: Track) -> float:
    """How much the mean color around a thing's middle changes over its frames."""
    height, width = frames.shape[1:3]
    colors = []
    for number, (right, down) in track:
        x, y = (int(np.clip(share * side, PATCH, side - PATCH - 1)) for share, side in ((right, width), (down, height)))
        colors.append(frames[number, y - PATCH : y + PATCH + 1, x - PATCH : x + PATCH + 1].mean((0, 1)))
    return float(np.std(colors, 0).mean())


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def summarize(rows: Sequence[Mapping[str, Any]], ways: Iterable[str] = WAYS) -> list[dict[str, Any]]:
    """One line per way over the videos that all ways have.

    Returns:
        For each, by the figures of FIGURES the mean over videos with its 95 % bootstrap interval and the n of those that
        have it; `against`, of identity the paired difference from independent seeds, from plain and from the row that
        keeps most; removed, seconds and calls, means.

    Raises:
        ValueError: no prompt is finished.
    """
    by_way = {name: {(row["prompt"], row["seed"]): row for row in rows if row["row"] == name} for name in ways}
    common = [key for key in by_way[PLAIN] if all(key in found for found in by_way.values())]
    if not common:
        raise ValueError("No prompt has a video of every row yet; let it run longer.")
    most = max(by_way, key=lambda name: sum(by_way[name][key]["identity"] for key in common))
    lines = []
    for name in by_way:
        mine, prompts = [by_way[name][key] for key in common], [prompt for prompt, _ in common]
        against = {
            what: _share(
                [row["identity"] - by_way[other][key]["identity"] for row, key in zip(mine, common, strict=True)],
                prompts,
            )
            for what, other in ((INDEPENDENT, INDEPENDENT), (PLAIN, PLAIN), (MOST, most))
        }
        lines.append(
            {
                "row": name, **{figure: _share([row[figure] for row in mine], prompts) for figure in FIGURES}, "against": against,
                "asked": mine[0]["asked"], "removed": 1 - _mean([row["keep_ratio"] for row in mine]),
                "seconds": _mean([row["seconds"] for row in mine]), "calls": _mean([row["unet_calls"] for row in mine]),
            }
        )  # fmt: skip
    return lines


def by_task(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Identity of plain videos and of independent seeds, and the paired difference, task by task.

    Where a prompt names every color and shape, independent seeds keep them too; what a video keeps shows where it does not.
    """
    found = {
        name: {(row["task"], row["prompt"], row["seed"]): row["identity"] for row in rows if row["row"] == name}
        for name in (PLAIN, INDEPENDENT)
    }
    both = [key for key in found[PLAIN] if key in found[INDEPENDENT]]
    tables = {task: [key for key in both if key[0] == task] for task in dict.fromkeys(task for task, *_ in both)}
    return [
        {
            "task": task, **{name: _share([found[name][key] for key in keys], [key[1] for key in keys]) for name in found},
            "difference": _share([found[PLAIN][key] - found[INDEPENDENT][key] for key in keys], [key[1] for key in keys]),
        }
        for task, keys in tables.items()
    ]  # fmt: skip


def _share(values: Sequence[float | None], prompts: Sequence[str]) -> dict[str, Any]:
    """The mean of those that are known, with the bootstrap's interval over prompts."""
    known = [(value, prompt) for value, prompt in zip(values, prompts, strict=True) if value is not None]
    if not known:
        return {"value": None, "low": None, "high": None, "n": 0}
    found, of = zip(*known, strict=True)
    low, high = clustered(found, of)
    return {"value": _mean(found), "low": low, "high": high, "n": len(found)}
