"""What a study found: each entrant at its own best guidance, and at one guidance for all, against plain pictures."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from maskunet.evaluation.intervals import Z, clustered, columns, of_share
from maskunet.evaluation.metrics.frechet import frechet_distance
from maskunet.experiments import removal
from maskunet.experiments.cures.entrants import PLAIN, Entrant
from maskunet.experiments.cures.make import FIXED, Study, best, training, tried
from maskunet.tabletop.spoiling import CLEAN
from maskunet.training import checkpoint

MASKS = "light"  # what the others that learn are held against
RESAMPLES = 200
FEWEST = 40  # pictures whose features have a spread worth comparing


def summarize(study: Study, entrants: Sequence[Entrant], reference: np.ndarray) -> list[dict[str, Any]]:
    """One line per entrant with pictures and guidance scale, its own best first.

    A line's `tasks` has the share correct by task, its `by_training` the shares correct and spoiled of each training, its
    `chosen_from` how many pictures of training prompts are correct with each setting, its `where` the lines of
    `removal.summarize`; the rest are figures.

    Args:
        reference: features (N, D) of clean renders.

    Raises:
        ValueError: there are no held-out plain pictures yet.
    """
    rows = {entrant.name: study.rows(entrant) for entrant in entrants}
    plain = _at(rows.get(PLAIN.name, []), _best_scale(rows.get(PLAIN.name, [])))
    if not plain:
        raise ValueError(
            "Everything is compared with held-out plain pictures, and there are none yet. Add plain to --entrants, and "
            "give the command again until it has made them."
        )
    seen = {row["prompt"] for row in rows[PLAIN.name] if row["split"] == "train"}
    lines = []
    for entrant in entrants:
        scale = _best_scale(rows[entrant.name])
        for guidance in dict.fromkeys((scale, FIXED)):
            if mine := _at(rows[entrant.name], guidance):
                own = {"guidance": guidance, "best": guidance == scale}
                masks = rows.get(MASKS, []) if entrant.recipe and entrant.name != MASKS else []
                masks = _at(masks, _best_scale(masks) if own["best"] else guidance)
                figures = {**_figures(mine, plain, seen, reference), **_over_masks(mine, masks)}
                trainings = _by_training(mine) if entrant.recipe else []
                apart = {
                    "tasks": _by_task(mine), "by_training": trainings, "chosen_from": _chosen_from(rows[entrant.name]),
                    "where": removal.summarize(mine),
                }  # fmt: skip
                lines.append({**_about(study, entrant, mine), **own, **figures, **apart})
    return lines


def _over_masks(mine: Sequence[Mapping[str, Any]], masks: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """How many more are right than under `light` masks: each at its own best guidance, or both at the same."""
    right, theirs = _mean_by_number(mine, _right), _mean_by_number(masks, _right)
    return _over_prompts("over_masks", {n: right[n] - theirs[n] for n in right.keys() & theirs.keys()}, mine)


def _best_scale(rows: Sequence[Mapping[str, Any]]) -> float:
    return _choice(rows)[1] or 0.0


def _at(rows: Sequence[Mapping[str, Any]], guidance: float) -> list[Mapping[str, Any]]:
    """The held-out pictures at a guidance scale, of the chosen learning rate: since others were made more may have been tried."""
    rate, _ = _choice(rows)
    held_out = [row for row in rows if row["split"] == "test" and row["guidance"] == guidance]
    return [row for row in held_out if rate in (None, row["rate"])]


def _choice(rows: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """The learning rate and the guidance scale, see `best`; None where none was chosen."""
    return best(rows) if any(row["split"] == "train" for row in rows) else (None, None)


def _about(study: Study, entrant: Entrant, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Who it is, on how many trainings and prompts its figures rest, and how large its file is."""
    trained = [training(study, entrant, r, t) for r, t in sorted({(row["rate"], row["training"]) for row in rows})]
    files = [folder / checkpoint.PART for folder in trained if entrant.recipe]
    return {
        "entrant": entrant.name, "title": entrant.title, "rate": rows[0]["rate"] if entrant.recipe else None,
        "trainings": len(trained), "pictures": len({row["number"] for row in rows}),
        "prompts": len({row["prompt"] for row in rows}),
        "bytes": files[0].stat().st_size if files else 0,
    }  # fmt: skip


def _figures(
    mine: Sequence[Mapping[str, Any]], plain: Sequence[Mapping[str, Any]], seen: set[str], reference: np.ndarray
) -> dict[str, Any]:
    both = sorted({row["number"] for row in mine} & {row["number"] for row in plain})
    unseen = [n for n in both if n in {row["number"] for row in plain if row["held_out"]}]
    new = [n for n in both if n in {row["number"] for row in plain if row["prompt"] not in seen}]
    right, spoiled = _mean_by_number(mine, _right), _mean_by_number(mine, _spoiled)
    right_plain, spoiled_plain = _mean_by_number(plain, _right), _mean_by_number(plain, _spoiled)
    mean = partial(_over_prompts, rows=plain)
    share = partial(mean, interval=of_share)
    return {
        **share("correct", {n: right[n] for n in both}),
        **mean("gain", {n: right[n] - right_plain[n] for n in both}),
        **mean("new_gain", {n: right[n] - right_plain[n] for n in new}), "new_pictures": len(new),
        "mended": sum(max(right[n] - right_plain[n], 0) for n in both),
        "broken": sum(max(right_plain[n] - right[n], 0) for n in both),
        **share("unseen", {n: right[n] for n in unseen}), "unseen_prompts": len(unseen),
        **mean("unseen_gain", {n: right[n] - right_plain[n] for n in unseen}),
        **share("spoiled", {n: spoiled[n] for n in both}),
        **mean("spoiled_change", {n: spoiled[n] - spoiled_plain[n] for n in both}),
        "removed": float(np.mean([1 - row["keep_ratio"] for row in mine])),
        "seconds": float(np.mean([row["seconds"] for row in mine])),
        **_frechet(mine, plain, reference),
    }  # fmt: skip


def _by_task(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The share correct of each task, over the trainings."""
    tasks = dict.fromkeys(row["task"] for row in rows)
    return {task: float(np.mean([_right(row) for row in rows if row["task"] == task])) for task in tasks}


def _by_training(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """The shares of each training, which tell how much hangs on its seed."""
    found = []
    for seed in sorted({row["training"] for row in rows}):
        mine = [row for row in rows if row["training"] == seed]
        shares = {
            "correct": np.mean([_right(row) for row in mine]),
            "spoiled": np.mean([_spoiled(row) for row in mine]),
        }
        found.append({"seed": seed, "pictures": len(mine), **{name: float(share) for name, share in shares.items()}})
    return found


def _chosen_from(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float | None]]:
    """The settings that were tried, and what they were chosen by, see `best`."""
    return [
        {"rate": rate, "guidance": guidance, "correct": sum(verdicts), "pictures": len(verdicts)}
        for (rate, guidance), verdicts in sorted(tried(rows).items())
    ]


def _right(row: Mapping[str, Any]) -> float:
    return float(row["correct"])


def _spoiled(row: Mapping[str, Any]) -> float:
    return float(row["looks"] != CLEAN)


def _over_prompts(
    name: str,
    values: Mapping[int, float],
    rows: Sequence[Mapping[str, Any]],
    interval: Callable[..., tuple[float, float]] = clustered,
) -> dict[str, float | None]:
    """The mean of pictures' values with its interval over prompts, as one prompt may have pictures from several noises."""
    prompts = {row["number"]: row["prompt"] for row in rows}
    numbers = sorted(values)
    over = partial(interval, of=[prompts[number] for number in numbers])
    return columns(name, [values[number] for number in numbers], over)


def _mean_by_number(rows: Sequence[Mapping[str, Any]], value) -> dict[int, float]:
    """Over the trainings."""
    found: dict[int, list[float]] = {}
    for row in rows:
        found.setdefault(row["number"], []).append(value(row))
    return {number: sum(values) / len(values) for number, values in found.items()}


def _frechet(
    mine: Sequence[Mapping[str, Any]], plain: Sequence[Mapping[str, Any]], reference: np.ndarray
) -> dict[str, float | None]:
    """The mean distance of the trainings, and its change against plain in percent; resampled by prompt for all alike.

    None where there are fewer than `FEWEST` pictures.
    """
    tables = [
        {row["number"]: row["features"] for row in mine if row["training"] == seed}
        for seed in sorted({row["training"] for row in mine})
    ]
    base, prompts = ({row["number"]: row[what] for row in plain} for what in ("features", "prompt"))
    shared = sorted(set(base).intersection(*tables))
    if len(shared) < FEWEST:
        return dict.fromkeys(("frechet", "frechet_change", "frechet_change_low", "frechet_change_high"))
    before, after = _table(base, shared), [_table(table, shared) for table in tables]
    rng = np.random.default_rng(0)

    def distances(drawn: np.ndarray) -> tuple[float, float]:
        own = float(np.mean([frechet_distance(table[drawn], reference) for table in after]))
        return own, 100 * (own / frechet_distance(before[drawn], reference) - 1)

    value, change = distances(np.arange(len(shared)))
    of_prompt: dict[str, list[int]] = {}
    for place, number in enumerate(shared):
        of_prompt.setdefault(prompts[number], []).append(place)
    groups = list(of_prompt.values())
    draws = (rng.integers(0, len(groups), len(groups)) for _ in range(RESAMPLES))
    changes = [distances(np.concatenate([groups[each] for each in drawn]))[1] for drawn in draws]
    half = Z * float(np.std(changes, ddof=1))  # no quantiles: pictures repeat in a resample, which shifts all of them
    return {
        "frechet": value,
        "frechet_change": change,
        "frechet_change_low": change - half,
        "frechet_change_high": change + half,
    }


def _table(features: Mapping[int, Sequence[float]], numbers: Sequence[int]) -> np.ndarray:
    return np.array([features[number] for number in numbers])
