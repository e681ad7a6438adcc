"""python -m maskunet study: how often a random mask wins, over the share of weights it removes."""

import argparse
import csv
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

GRID_SEEDS = 6  # columns of the figure with pictures, at most
NOTES = (
    "Every masked picture is compared with the plain one of the same prompt, seed, steps and guidance. Intervals "
    "are 95 %: Wilson's for shares, the bootstrap's over pictures for the difference. They take the pictures as "
    "independent, which several seeds of one prompt are not quite. p is the sign test's of fixed against broken, "
    "for each line by itself: among many lines some are small by chance. Correct is what the checker says, which "
    "is no reward; a higher reward alone is no evidence of a better picture."
)


def add(commands: Any) -> None:
    """Add the command to an argparse object of subcommands."""
    parser = commands.add_parser("study", help="how often a random mask wins; run it again to go on")
    parser.add_argument(
        "--kind", type=_listed(str), default="iid,window,magnitude", help="ways to choose weights"
    )
    parser.add_argument(
        "--ratios", type=_listed(float), default="0,0.005,0.01,0.02,0.04,0.066,0.1,0.2",
        help="shares of the weights removed, 0 to 1; 0 must give the plain picture",
    )  # fmt: skip
    parser.add_argument(
        "--centers",
        type=_listed(float),
        default="1",
        metavar="STD",
        help="of windows, in standard deviations",
    )
    parser.add_argument("--tasks", default="all", help="task names with commas, or all")
    parser.add_argument("--n", type=int, default=10, help="prompts per task")
    parser.add_argument("--seeds", type=int, default=1, help="pictures per prompt")
    parser.add_argument("--seed", type=int, default=1, help="which prompts, and the first noise")
    parser.add_argument("--split", choices=("test", "train"), default="test")
    parser.add_argument("--model", default="auto", help="base model; auto takes the best one here")
    parser.add_argument("--steps", type=int, help="denoising steps")
    parser.add_argument("--guidance", type=float, help="guidance scale; the model's if left out")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="a Stable Diffusion folder")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")
    parser.add_argument("--out", type=Path, required=True, help="folder for rows, tables and figures")
    parser.set_defaults(command=run)


def _listed(kind: Callable[[str], Any]) -> Callable[[str], tuple]:
    def listed(text: str) -> tuple:
        try:
            return tuple(kind(word.strip()) for word in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(f"“{text}” is not numbers with commas between them") from None

    return listed


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Make what is missing in the folder's rows, then write the tables and figures of all rows.

    Raises:
        ValueError: an unknown task, kind or model, or a folder of another study; says what to do.
    """
    from tqdm import tqdm

    from maskunet.experiments import rows as rows_
    from maskunet.experiments import study
    from maskunet.machine import versions
    from maskunet.records import Request

    if args.n < 1 or args.seeds < 1:
        parser.error("--n and --seeds must be at least 1")
    chosen = study.variants(args.kind, args.ratios, args.centers)
    pairs = study.subjects(args.tasks, n=args.n, seeds=args.seeds, seed=args.seed, split=args.split)
    request = Request(prompt="-", model=args.model, steps=args.steps, guidance=args.guidance)
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.experiments import judges
    from maskunet.methods import method_of
    from maskunet.methods.base import filled

    found = judges.load(args.model, args.weights, args.device)
    request = filled(request, method_of("random_mask"), found.loaded.model)
    asked = {"steps": request.steps, "guidance": request.guidance, "seed": args.seed, "split": args.split}
    about = {**found.about, **asked}
    parts = (found.loaded.model, found.loaded.rewards, found.checker, request)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = rows_.resume(args.out / "rows.jsonl", about, "study")
    work = study.jobs(pairs, chosen, rows)
    pictures = tqdm(study.study(*parts, work=work, done=rows), total=len(work), unit="image", file=sys.stderr)
    rows += rows_.kept((row for row, _ in pictures), args.out / "rows.jsonl")
    found = study.summarize(rows)
    made = {"command": _command(args), "n": args.n, "seeds": args.seeds, "versions": versions()}
    save(args.out, found, {**made, **about})
    sys.stdout.write(study.table(found) + "\n")
    same_kind = [variant for variant in chosen if variant.curve == chosen[0].curve]
    first = [pair for pair in pairs if pair[0] == pairs[0][0]][:GRID_SEEDS]
    # Made again: only numbers are kept of the pictures.
    again = study.study(*parts, work=study.jobs(first, same_kind))
    _write_figure(_grid(again, len(first)), args.out / "seed_grid")


def save(folder: Path, found: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write study.json, study.csv, study.md and the figure of the curves."""
    from maskunet.experiments import study
    from maskunet.records.disk import whole
    from visualize import random_ratio

    whole.write(folder / "study.json", json.dumps({"about": about, **found}, indent=1) + "\n")
    with whole.file(folder / "study.csv") as fresh, fresh.open("w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, list(found["summary"][0]))
        lines.writeheader()
        lines.writerows(found["summary"])
    text = f"# How often does a random mask win?\n\nMade by `{about['command']}`.\n\n{study.table(found)}\n\n{NOTES}\n"
    whole.write(folder / "study.md", text)
    _write_figure(random_ratio.draw(found), folder / "random_ratio")


def _grid(pictures: Any, seeds: int) -> Any:
    """The pictures of one prompt: plain in the first row, one row per ratio, one column per seed."""
    from maskunet.experiments.study import by_variant
    from visualize import seed_grid

    rows, images = zip(*pictures, strict=True)
    marks = [[row["rewards"]["total"] for row in rows], [row["correct"] for row in rows]]
    shown = rows[: len(rows) // seeds]
    names = ["plain" if row["kind"] == "plain" else f"{row['kind']} {row['removed']:.1%}" for row in shown]
    columns = [f"seed {row['seed']}" for row in rows[:: len(shown)]]
    arrays = (by_variant(values, seeds) for values in (images, *marks))
    return seed_grid.draw(*arrays, names, columns, f"“{rows[0]['prompt']}”; total reward, ✓ correct, ✗ wrong")


def _write_figure(figure: Any, path: Path) -> None:
    for kind in ("png", "svg"):
        figure.savefig(path.with_suffix(f".{kind}"), dpi=200)


def _command(args: argparse.Namespace) -> str:
    """The command that made it, for a POSIX shell; what was left to the model is left out."""
    names = (
        "kind",
        "ratios",
        "centers",
        "tasks",
        "n",
        "seeds",
        "seed",
        "split",
        "model",
        "steps",
        "guidance",
    )
    given = {name: getattr(args, name) for name in names} | {"out": args.out.name}
    words = {name: _text(value) for name, value in given.items() if value is not None}
    return shlex.join(["python", "-m", "maskunet", "study", *(f"--{k}={v}" for k, v in words.items())])


def _text(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(f"{each:g}" if isinstance(each, float) else each for each in value)
    return str(value)
