"""python -m maskunet race: every method for the same time, judged by what none of them optimizes."""

import argparse
import shlex
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

REWARDS = ("image_reward", "hpsv2")
NAMED = {"binding": "color_attribution,texture_attribution"}


def add(commands: Any) -> None:
    """Add the command to an argparse object of subcommands."""
    parser = commands.add_parser("race", help="all methods at equal time; run it again to go on")
    parser.add_argument(
        "--methods",
        default="all",
        help="all, or method/preset:part@guidance with commas between; plain is added",
    )
    parser.add_argument("--tasks", default="binding,counting,position", help="task names with commas, or all")
    parser.add_argument(
        "--prompts", "--n", type=int, default=60, dest="n",
        help="prompts per task; torchrun and accelerate launch take --n for one of theirs",
    )  # fmt: skip
    parser.add_argument("--budget-seconds", type=float, default=5.0, help="for each prompt and entrant")
    parser.add_argument("--optimize", choices=REWARDS, default=REWARDS[0], help="the other one is held out")
    parser.add_argument("--seed", type=int, default=1, help="which prompts, and the first noise")
    parser.add_argument("--split", choices=("test", "train"), default="test")
    parser.add_argument("--model", default="auto", help="base model; auto takes the best one here")
    parser.add_argument("--steps", type=int, help="denoising steps")
    parser.add_argument("--guidance", type=float, help="guidance scale; the model's if left out")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="a Stable Diffusion folder")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")
    parser.add_argument("--report-only", action="store_true", help="write the report of what is there")
    parser.add_argument("--out", type=Path, required=True, help="folder for rows, pictures and the report")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Make this process's share of what is missing; the last process writes the report.

    Raises:
        ValueError: an unknown method, task or model, or a folder of another race; says what to do.
    """
    from maskunet import machine
    from maskunet.experiments.race.entrants import entrants
    from maskunet.experiments.study import subjects

    if args.n < 1 or args.budget_seconds <= 0:
        parser.error("--prompts must be at least 1 and --budget-seconds more than 0")
    chosen = entrants(args.methods)
    tasks = ",".join(NAMED.get(task.strip(), task.strip()) for task in args.tasks.split(","))
    prompts = dict(enumerate(subjects(tasks, n=args.n, seeds=1, seed=args.seed, split=args.split)))
    rank, world = machine.place()
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.experiments import judges, rows
    from maskunet.experiments.race.entrants import present

    found = judges.load(args.model, args.weights, args.device)
    if args.methods == "all":
        chosen = present(chosen, found.loaded.model)
    asked = {name: getattr(args, name) for name in ("optimize", "budget_seconds", "seed", "split", "steps")}
    guidance = found.loaded.model.guidance if args.guidance is None else args.guidance
    about = {**found.about, **asked, "tasks": tasks, "guidance": guidance}
    args.out.mkdir(parents=True, exist_ok=True)
    if not args.report_only:
        rows.resume(_file(args, rank), about, "race")
        each_task = (
            len(prompts) // args.n
        )  # one prompt of each is dealt together: every process sees all tasks
        mine = {number: each for number, each in prompts.items() if number // each_task % world == rank}
        done = _rows(args.out, about, [each.name for each in chosen], mine)
        _go(args, found, chosen, mine, done, rank)
    made = _rows(args.out, about, [each.name for each in chosen], prompts)
    whole = len({(row["entrant"], row["number"]) for row in made}) == len(chosen) * len(prompts)
    if rank == 0 or whole:
        _report(args, {**about, "asked": len(prompts)}, made, world)


def _file(args: argparse.Namespace, rank: int) -> Path:
    return args.out / f"rows-{rank}.jsonl"


def _rows(
    folder: Path, about: Mapping[str, Any], names: Sequence[str], numbers: Container[int]
) -> list[dict[str, Any]]:
    """What all processes have made so far for these entrants and prompts."""
    from maskunet.experiments import rows

    every = [row for path in sorted(folder.glob("rows-*.jsonl")) for row in rows.read(path, about, "race")]
    return [row for row in every if row["entrant"] in names and row["number"] in numbers]


def _go(
    args: argparse.Namespace, found: Any, chosen: list, subjects: dict, done: list[dict], rank: int
) -> None:
    """Run until this process's share is made or Ctrl+C is pressed; every row is on disk at once."""
    from maskunet.experiments import rows
    from maskunet.experiments.race.make import race
    from maskunet.machine import interruptible
    from maskunet.records import Request

    model, rewards = found.loaded.model, found.loaded.rewards
    asked = Request(prompt="-", model=model.name, steps=args.steps, guidance=args.guidance)
    with interruptible() as should_stop:
        made = race(
            model, rewards, found.checker, asked, chosen, subjects, seconds=args.budget_seconds,
            optimized=args.optimize, folder=args.out, done=done, should_stop=should_stop,
        )  # fmt: skip
        before = {(row["entrant"], row["number"]) for row in done}
        _follow(rows.kept(made, _file(args, rank)), before, len(subjects) * len(chosen), shown=rank == 0)
        if should_stop():
            sys.stderr.write("Stopped. Give the same command again to go on.\n")


def _follow(made: Iterable[Mapping[str, Any]], before: set, total: int, shown: bool) -> None:
    """A bar over entrants and prompts, with the time left."""
    from tqdm import tqdm

    seen = set(before)
    with tqdm(total=total, initial=len(seen), unit="prompt", disable=not shown, file=sys.stderr) as bar:
        for row in made:
            bar.set_description_str(row["entrant"])
            if (key := (row["entrant"], row["number"])) not in seen:
                seen.add(key)
                bar.update()


def _report(args: argparse.Namespace, about: Mapping[str, Any], made: list[dict], world: int) -> None:
    from maskunet.experiments.race import report, write
    from maskunet.machine import versions

    held_out = next(name for name in REWARDS if name != args.optimize)
    found = report.report(made, args.optimize, held_out, args.budget_seconds)
    about = {"command": _command(args), **about, "processes": world, "versions": versions()}
    write.save(args.out, found, about, made)
    sys.stdout.write(write.markdown(found, about))


def _command(args: argparse.Namespace) -> str:
    """The command that made it, for a POSIX shell; what was left to the model is left out."""
    names = (
        "methods",
        "tasks",
        "n",
        "budget_seconds",
        "optimize",
        "seed",
        "split",
        "model",
        "steps",
        "guidance",
    )
    given = {name: getattr(args, name) for name in names} | {"out": args.out.name}
    flags = {("prompts" if name == "n" else name.replace("_", "-")): v for name, v in given.items()}
    words = [f"--{name}={value}" for name, value in flags.items() if value is not None]
    return shlex.join(["python", "-m", "maskunet", "race", *words])
