"""python -m maskunet study: how often a random mask wins, over the share of weights it removes."""

import json
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import (
    CommandSpec,
    SamplingOptions,
    bar,
    command_line,
    make_folder,
    option,
    seed_option,
    split_option,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID_SEEDS = 6  # columns of the figure with pictures, at most
NOTES = (
    "Every masked picture is compared with the plain one of the same prompt, seed, steps and guidance. Intervals "
    "are 95 %, the bootstrap's over prompts. Fixed and broken count prompts, p is their sign test's, "
    "for each line by itself: among many lines some are small by chance. Correct is what the checker says, which "
    "is no reward; a higher reward alone is no evidence of a better picture."
)


def _listed(kind: Callable[[str], Any]) -> Callable[[str], tuple]:
    def listed(text: str) -> tuple:
        try:
            return tuple(kind(word.strip()) for word in text.split(","))
        except ValueError:
            raise ArgumentTypeError(f"“{text}” is not numbers with commas between them") from None

    return listed


RATIOS = (0, 0.005, 0.01, 0.02, 0.04, 0.066, 0.1, 0.2)


@dataclass(frozen=True, kw_only=True)
class Options(SamplingOptions):
    kind: tuple[str, ...] = option(("iid", "window", "magnitude"), "ways to choose weights", read=_listed(str))
    ratios: tuple[float, ...] = option(
        RATIOS, "shares of the weights removed, 0 to 1; 0 must give the plain picture", read=_listed(float)
    )
    centers: tuple[float, ...] = option((1,), "of windows, in standard deviations", metavar="STD", read=_listed(float))
    tasks: str = option("all", "task names with commas, or all")
    n: int = option(10, "prompts per task", low=1)
    seeds: int = option(1, "pictures per prompt", low=1)
    seed: int = seed_option(1, "which prompts, and the first noise")
    split: str = split_option()
    out: Path = option(writes="folder", help="folder for rows, tables and figures")


def run(options: Options) -> None:
    """Make what is missing in the folder's rows, then write the tables and figures of all rows.

    Raises:
        ValueError: an unknown task, kind or model, or a folder of another study; says what to do.
    """
    from maskunet.experiments import study
    from maskunet.records import Request

    chosen = study.variants(options.kind, options.ratios, options.centers)
    drawn = {"n": options.n, "seeds": options.seeds, "seed": options.seed, "split": options.split}
    pairs = study.subjects(options.tasks, **drawn)
    request = Request(prompt="-", model=options.model, steps=options.steps, guidance=options.guidance)
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.experiments import journal, judges
    from maskunet.machine import versions
    from maskunet.methods import method_of
    from maskunet.methods.base import filled

    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    request = filled(request, method_of("random_mask"), loaded.model)
    about = {**identity, "steps": request.steps, "guidance": request.guidance}
    about |= {"seed": options.seed, "split": options.split}
    make_folder(options.out)
    file = options.out / "rows.jsonl"
    done = journal.resume(file, about, "study")
    work = study.jobs(pairs, chosen, done)
    with bar("image", len(work)) as line:
        for row in journal.kept((row for row, _ in study.study(loaded, request, work=work, done=done)), file):
            done.append(row)
            line.update()
    summary = study.summarize(study.asked_for(done, pairs, chosen))
    made = {"command": command_line("study", options, model=loaded.model.name), "n": options.n, "seeds": options.seeds}
    save(options.out, summary, {**made, "versions": versions(), **about})
    sys.stdout.write(study.table(summary) + "\n")
    same_kind = [variant for variant in chosen if variant.curve == chosen[0].curve]
    first = [pair for pair in pairs if pair[0] == pairs[0][0]][:GRID_SEEDS]
    # Made again: only numbers are kept of the pictures.
    again = study.study(loaded, request, work=study.jobs(first, same_kind))
    _write_figure(_grid(again, len(first)), options.out / "seed_grid")


def save(folder: Path, found: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write study.json, study.csv, study.md and the figure of the curves."""
    from maskunet.experiments import study
    from maskunet.records.disk import whole
    from maskunet.records.table import csv_text
    from visualize import random_ratio

    whole.write(folder / "study.json", json.dumps({"about": about, **found}, indent=1) + "\n")
    whole.write(folder / "study.csv", csv_text(found["summary"]))
    text = f"# How often does a random mask win?\n\nMade by `{about['command']}`.\n\n{study.table(found)}\n\n{NOTES}\n"
    whole.write(folder / "study.md", text)
    _write_figure(random_ratio.draw(found), folder / "random_ratio")


def _grid(pictures: Iterable[tuple], seeds: int) -> "Figure":
    """The pictures of one prompt: plain in the first row, one row per ratio, one column per seed."""
    from maskunet.experiments.study import by_variant
    from visualize import seed_grid

    rows, images = zip(*pictures, strict=True)
    marks = [[row["rewards"]["total"] for row in rows], [row["correct"] for row in rows]]
    shown = rows[: len(rows) // seeds]
    names = ["plain" if row["kind"] == "plain" else f"{row['kind']} {row['removed']:.1%}" for row in shown]
    columns = [f"seed {row['seed']}" for row in rows[:: len(shown)]]
    arrays = (by_variant(values, seeds) for values in (images, *marks))
    marks = "" if rows[0]["correct"] is None else ", ✓ correct, ✗ wrong"
    return seed_grid.draw(*arrays, names, columns, f"“{rows[0]['prompt']}”; total reward{marks}")


def _write_figure(figure: "Figure", path: Path) -> None:
    from visualize import base

    base.save(figure, path, ("png", "svg"), dpi=200)


SPEC = CommandSpec(name="study", title="how often a random mask wins; run it again to go on", options=Options, run=run)
