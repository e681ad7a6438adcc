"""python -m maskunet race: every method for the same time, judged by what none of them optimizes."""

import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet import plugins
from maskunet.commands.base import (
    CommandSpec,
    SamplingOptions,
    command_line,
    follow,
    make_folder,
    option,
    resumable,
    seed_option,
    split_option,
)

if TYPE_CHECKING:
    from maskunet.library.library import Loaded
    from maskunet.runs.entrant import Entrant

REWARDS = plugins.names("maskunet.rewards")
NAMED = {"binding": "color_attribution,texture_attribution"}
CLOCK = "without what only judges"  # rows that were timed otherwise are of another race
METHODS = "all, or method/preset:part@guidance with commas between; plain is added"
PROMPTS = "prompts per task; torchrun and accelerate launch take --n for one of theirs"


@dataclass(frozen=True, kw_only=True)
class Options(SamplingOptions):
    methods: str = option("all", METHODS, trained=True)
    tasks: str = option("binding,counting,position", "task names with commas, or all")
    prompts: int = option(60, PROMPTS, low=1, also="n", metavar="N")
    budget_seconds: float = option(5.0, "for each prompt and entrant", low=0.001)
    optimize: str = option("image_reward", "the reward that methods may use", choices=REWARDS)
    held_out: str | None = option(
        None, "the one that judges, also pickscore or clip_h; the first other one if left out", choices=REWARDS
    )
    seed: int = seed_option(1, "which prompts, and the first noise")
    split: str = split_option()
    report_only: bool = option(False, "write the report of what is there")
    out: Path = option(writes="folder", help="folder for rows, pictures and the report")


def run(options: Options) -> None:
    """Make this process's share of what is missing; the last process writes the report.

    Raises:
        ValueError: an unknown method, task or model, or a folder of another race; says what to do.
    """
    from maskunet import machine
    from maskunet.experiments.race.entrants import entrants
    from maskunet.experiments.study import subjects

    chosen = entrants(options.methods)
    tasks = ",".join(NAMED.get(task.strip(), task.strip()) for task in options.tasks.split(","))
    drawn = subjects(tasks, n=options.prompts, seeds=1, seed=options.seed, split=options.split)
    prompts = dict(enumerate(drawn))
    rank, world = machine.place()
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.experiments import journal, judges
    from maskunet.experiments.race.entrants import present
    from maskunet.rewards.base import held_out_of

    loaded, identity = judges.load(options.model, options.weights, options.device, options.held_out, **options.added)
    held_out = held_out_of(loaded.rewards.weights, options.optimize, options.held_out)
    if options.methods == "all":
        chosen = present(chosen, loaded.model, options.steps)
    asked = {name: getattr(options, name) for name in ("optimize", "budget_seconds", "seed", "split", "steps")}
    guidance = loaded.model.guidance if options.guidance is None else options.guidance
    about = {**identity, **asked, "tasks": tasks, "guidance": guidance, "clock": CLOCK}
    make_folder(options.out)
    names = [each.name for each in chosen]
    if not options.report_only:
        journal.resume(_file(options, rank), about, "race")
        only = [each.settings(options.optimize, loaded.rewards.weights) for each in chosen]
        ways = [each.way(loaded.model, loaded.rewards, own) for each, own in zip(chosen, only, strict=True)]
        journal.check_methods(options.out, dict(zip(names, ways, strict=True)))
        # One prompt of each task is dealt together: every process sees all tasks.
        each_task = len(prompts) // options.prompts
        mine = {number: each for number, each in prompts.items() if number // each_task % world == rank}
        _go(options, loaded, chosen, mine, _rows(options.out, about, names, mine), rank)
    made = _rows(options.out, about, names, prompts)
    whole = len({_key(row) for row in made}) == len(chosen) * len(prompts)
    if rank == 0 or whole:
        _report(options, held_out, {**about, "asked": len(prompts)}, made, world)


def _file(options: Options, rank: int) -> Path:
    return options.out / f"rows-{rank}.jsonl"


def _key(row: Mapping[str, Any]) -> tuple[str, int]:
    return row["entrant"], row["number"]


def _rows(
    folder: Path, about: Mapping[str, Any], names: Sequence[str], numbers: Container[int]
) -> list[dict[str, Any]]:
    """What all processes have made so far for these entrants and prompts."""
    from maskunet.experiments import journal

    every = [row for path in sorted(folder.glob("rows-*.jsonl")) for row in journal.read(path, about, "race")]
    return [row for row in every if row["entrant"] in names and row["number"] in numbers]


def _go(
    options: Options,
    loaded: "Loaded",
    chosen: "list[Entrant]",
    subjects: Mapping[int, Any],
    done: list[dict[str, Any]],
    rank: int,
) -> None:
    """Run until this process's share is made or Ctrl+C is pressed; every row is on disk at once."""
    from maskunet.experiments import journal
    from maskunet.experiments.race.make import make
    from maskunet.records import Request

    asked = Request(prompt="-", model=loaded.model.name, steps=options.steps, guidance=options.guidance)
    with resumable() as should_stop:
        made = make(
            loaded, asked, chosen, subjects, seconds=options.budget_seconds,
            optimized=options.optimize, folder=options.out, done=done, should_stop=should_stop,
        )  # fmt: skip
        made, total = journal.kept(made, _file(options, rank)), len(subjects) * len(chosen)
        follow(made, _key, map(_key, done), unit="prompt", total=total, shown=rank == 0)


def _report(options: Options, held_out: str, about: Mapping[str, Any], made: list[dict[str, Any]], world: int) -> None:
    from maskunet.experiments.race import report, write
    from maskunet.machine import versions

    found = report.report(made, options.optimize, held_out, options.budget_seconds)
    about = {
        "command": command_line("race", options, model=about["model"]),
        **about,
        "processes": world,
        "versions": versions(),
    }
    write.save(options.out, found, about, made)
    sys.stdout.write(write.markdown(found, about))


SPEC = CommandSpec(name="race", title="all methods at equal time; run it again to go on", options=Options, run=run)
