"""Run a method over the tabletop tasks; the checker, which nothing optimizes, says what is correct."""

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from maskunet import seeds
from maskunet.encoders.pixels import from_uint8
from maskunet.evaluation.intervals import clustered
from maskunet.experiments import removal
from maskunet.experiments.counted import change, share, told
from maskunet.experiments.markdown import NO_VERDICT, markdown_table, p_value
from maskunet.library.library import Loaded
from maskunet.methods import SPECS, method_of
from maskunet.methods.base import MethodSpec
from maskunet.methods.base.batches import fitting, together
from maskunet.records import Request, StepEvent
from maskunet.records.disk import whole
from maskunet.records.table import csv_text
from maskunet.rewards.base import required
from maskunet.tabletop.checker import Checker
from maskunet.tabletop.inspector import Inspector
from maskunet.tabletop.spoiling import CLEAN
from maskunet.tabletop.tasks import TASKS, Case, cases


def evaluate(
    loaded: Loaded,
    request: Request,
    *,
    tasks: str,
    n: int,
    seed: int,
    split: str = "test",
    batch: int = 1,
    methods: Mapping[str, MethodSpec] = SPECS,
    done: Container[tuple[str, int]] = (),
    should_stop: Callable[[], str] = str,
) -> Iterator[dict[str, Any]]:
    """Make and judge n images per task.

    Args:
        loaded: the base model, with the checker if it knows its pictures.
        request: method, preset, guidance and settings; its prompt and seed are replaced.
        tasks: "all" or task names with commas between them.
        split: "test", or "train" for anything that chooses a setting.
        batch: images of a task that share U-Net calls, where the method allows it; 0 for as many as fit. Above 1 they
            differ by rounding from those made alone.
        methods: to choose from, by name.
        done: what `key` says of the rows that there are; they are not made again. should_stop: asked after each batch.

    Yields:
        One row per image: task, prompt, seed, correct (None without a checker), held_out, rewards, keep_ratio, seconds, calls; what it looks like
        (`inspector.KINDS`), if an inspector is there; and where masks removed weights (`removal.columns`).

    Raises:
        ValueError: an unknown task, method, preset or setting, or no rewards.
    """
    required(loaded.rewards)
    spec = method_of(request.method, methods)
    settings = spec.settings(request.preset, request.settings)
    size = (batch or fitting(loaded.model)) if spec.shares(settings) else 1
    for _, asked in groupby(subjects(tasks, n, seed, split), lambda each: each[0].task):
        pictures = [(case, replace(request, prompt=case.prompt, seed=noise, previews=False)) for case, noise in asked]
        for start in range(0, len(pictures), size):
            some = pictures[start : start + size]  # always the same ones, so that a later run rounds alike
            if all((case.task, one.seed) in done for case, one in some):
                continue
            for row, _ in drawn(loaded, spec, some, settings):
                if key(row) not in done:
                    yield row
            if should_stop():
                return


def subjects(tasks: str, n: int, seed: int, split: str) -> list[tuple[Case, int]]:
    """The prompts of an evaluation with the seeds of their noise, task by task; more prompts begin with the same ones.

    Raises:
        ValueError: an unknown task.
    """
    names = TASKS if tasks == "all" else dict.fromkeys(task.strip() for task in tasks.split(","))
    return [(case, seeds.of_case(seed, i)) for task in names for i, case in enumerate(cases(task, n, seed, split))]


def key(row: Mapping[str, Any]) -> tuple[str, int]:
    """Which picture of an evaluation a row is of."""
    return row["task"], row["seed"]


def drawn(
    loaded: Loaded, spec: MethodSpec, asked: Sequence[tuple[Case, Request]], settings: Any
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Make pictures that share their U-Net calls where the method can, and judge them.

    Yields:
        The row of `judge`, and the picture, (H, W, 3) uint8; in the order asked.
    """
    seen: dict[int, list[StepEvent]] = {}
    for number, event in together(spec, loaded.model, loaded.rewards, [one for _, one in asked], settings):
        seen.setdefault(number, []).append(event)
    for number, (case, one) in enumerate(asked):
        events = seen[number]
        yield judge(case, one.seed, iter(events), loaded.checker, loaded.inspector), events[-1].image


def judge(
    case: Case, seed: int, events: Iterator, checker: Checker | None, inspector: Inspector | None = None
) -> dict[str, Any]:
    """Run a method's events to the end and judge the final image."""
    chosen, final = {}, None  # by step: of the mask the solver went on with
    for event in events:
        if event.best and not event.final:
            chosen[event.step] = event
        final = event if event.final else final
    picture = from_uint8(final.image)
    kept = [event.kept for event in chosen.values() if event.kept is not None]
    return {
        "task": case.task,
        "prompt": case.prompt,
        "seed": seed,
        "correct": case.satisfied(checker.see(picture)[0]) if checker else None,
        **({"looks": inspector.kinds(picture)[0]} if inspector else {}),
        "held_out": case.held_out,
        "rewards": dict(final.rewards),
        "keep_ratio": sum(kept) / len(kept) if kept else 1.0,
        **removal.columns(chosen),
        "seconds": final.seconds,
        "unet_calls": final.unet_calls,
    }


def summarize(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line per task and one over all: n, share correct with its 95 % interval over prompts, mean rewards.

    And the share of spoiled pictures, if the rows say what they look like.
    """
    lines = []
    for task in [*dict.fromkeys(row["task"] for row in rows), "all"]:
        mine = [row for row in rows if task in (row["task"], "all")]
        prompts, totals = [row["prompt"] for row in mine], [row["rewards"]["total"] for row in mine]
        right, reward = share([row["correct"] for row in mine], prompts), clustered(totals, prompts)
        lines.append({
            "task": task, "n": len(mine), "correct": right["value"], "low": right["low"], "high": right["high"],
            "reward": sum(totals) / len(totals), "reward_low": reward[0], "reward_high": reward[1],
            "keep_ratio": sum(row["keep_ratio"] for row in mine) / len(mine),
            "seconds": sum(row["seconds"] for row in mine) / len(mine),
            **({"spoiled": sum(map(_spoiled, mine)) / len(mine)} if "looks" in mine[0] else {}),
        })  # fmt: skip
    return lines


def table(lines: Sequence[Mapping[str, Any]], what: str = "task") -> str:
    """Lines of a summary as a Markdown table, without “all” of one and without what is not known.

    Args:
        what: the title of the first column.
    """
    lines = lines[:1] if len(lines) == 2 and lines[1]["task"] == "all" else lines
    known, looks = all(line["correct"] is not None for line in lines), all("spoiled" in line for line in lines)
    head = [
        what,
        "n",
        *(["correct", "95 % interval"] if known else []),
        "total reward",
        "95 % interval",
        "removed",
        "s per image",
    ]
    rows = [
        (
            x["task"], f"{x['n']}", *([f"{x['correct']:.3f}", f"{x['low']:.3f} to {x['high']:.3f}"] if known else []),
            f"{x['reward']:.3f}", f"{x['reward_low']:.3f} to {x['reward_high']:.3f}" if x["n"] > 1 else "",
            f"{1 - x['keep_ratio']:.2%}", f"{x['seconds']:.2f}", *([f"{x['spoiled']:.3f}"] if looks else []),
        )
        for x in lines
    ]  # fmt: skip
    return markdown_table([*head, "spoiled"] if looks else head, rows)


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation:
    """Judged pictures; shown as the table of `summarize`, in a notebook too.

    Attributes:
        rows: one per picture, see `evaluate`.
    """

    rows: Sequence[Mapping[str, Any]]

    @property
    def summary(self) -> list[dict[str, Any]]:
        """The table's lines, see `summarize`."""
        return summarize(self.rows)

    def against(self, other: "Evaluation") -> str:
        """What `paired` finds in comparing this one with another, as a sentence.

        Raises:
            ValueError: no image is in both.
        """
        return paired_line("the other", paired(self.rows, other.rows))

    def __repr__(self) -> str:
        return table(self.summary)

    _repr_markdown_ = __repr__


def paired(rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compare two evaluations image by image, where prompt and seed are the same.

    Returns:
        n; prompts, of which the images are; reward: the total reward's mean difference, value, with its 95 % bootstrap
        interval over prompts, low and high; correct and spoiled: the same of the shares, with the prompts that the first
        (fixed) and the second (broken) had more often so, and the sign test's p; see `counted.change`. The value is None
        where that is not known.

    Raises:
        ValueError: no image is in both.
    """
    check_shared(map(_same, rows), others)
    index = {_same(row): row for row in others}
    pairs = [(row, index[_same(row)]) for row in rows if _same(row) in index]
    differences = [a["rewards"]["total"] - b["rewards"]["total"] for a, b in pairs]
    prompts = [a["prompt"] for a, _ in pairs]
    low, high = clustered(differences, prompts)
    return {
        "n": len(pairs),
        "prompts": len(set(prompts)),
        "reward": {"value": sum(differences) / len(pairs), "low": low, "high": high},
        "correct": change([a["correct"] for a, _ in pairs], [b["correct"] for _, b in pairs], prompts),
        "spoiled": change([_spoiled(a) for a, _ in pairs], [_spoiled(b) for _, b in pairs], prompts),
    }


def _same(row: Mapping[str, Any]) -> tuple[str, int, str]:
    """What pictures that are compared have in common."""
    return row["task"], row["seed"], row["prompt"]


def check_shared(images: Iterable[tuple[str, int, str]], others: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a comparison with the rows of others before work is spent on it.

    Args:
        images: task, seed and prompt of each.

    Raises:
        ValueError: none of them is there too.
    """
    if {*images}.isdisjoint(map(_same, others)):
        raise ValueError("The two evaluations share no prompt and seed; run both with the same --tasks and --seed.")


def paired_line(name: str, found: Mapping[str, Any]) -> str:
    """What `paired` found, as one sentence."""
    of = f" of {found['prompts']} prompts" if found["prompts"] < found["n"] else ""
    if found["n"] == 1:
        return f"Against {name}, one pair, which has no interval: total reward {found['reward']['value']:+.3f}."
    reward, correct, spoiled = found["reward"], found["correct"], found["spoiled"]
    said = [f"total reward {reward['value']:+.3f} (95 % {reward['low']:+.3f} to {reward['high']:+.3f})"]
    if correct["value"] is not None:
        said += [
            f"share right {told(correct, '+')}, prompts right more often {correct['fixed']}, less often {correct['broken']}, "
            f"sign test {p_value(correct['p'], named=True)}"
        ]
    if spoiled["value"] is not None:
        said += [f"share spoiled {told(spoiled, '+')}"]
    return f"Against {name}, {found['n']} pairs{of}: {'; '.join(said)}."


def _spoiled(row: Mapping[str, Any]) -> bool | None:
    """Whether it looks so; None without an inspector."""
    return row["looks"] != CLEAN if "looks" in row else None


def load(folder: Path) -> list[dict[str, Any]]:
    """The rows of an evaluation's folder.

    Raises:
        ValueError: the folder holds no evaluation.
    """
    return record(folder)["rows"]


def record(folder: Path) -> dict[str, Any]:
    """All that `save` wrote: "about", what was run; "summary"; "rows".

    Raises:
        ValueError: the folder holds no evaluation.
    """
    try:
        found = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        return {name: found[name] for name in ("about", "summary", "rows")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"“{folder.name}” holds no evaluation; it needs an evaluation.json.") from error


def save(folder: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write evaluation.json (what was run, summary, every row) and evaluation.md (the table).

    With masks also removed.csv and a second table: where and when they removed weights.
    """
    lines, removed = summarize(rows), removal.summarize(rows)
    text = json.dumps({"about": about, "summary": lines, "rows": rows}, indent=1)
    whole.write(folder / "evaluation.json", text)
    told = [
        table(lines),
        *([NO_VERDICT] if lines[-1]["correct"] is None else []),
        *([removal.table(removed)] if removed else []),
    ]
    whole.write(folder / "evaluation.md", "\n\n".join(told) + "\n")
    if removed:
        whole.write(folder / "removed.csv", csv_text(removed))
