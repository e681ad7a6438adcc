"""python -m maskunet match: one picture of each entrant for the same prompts and seeds, every two compared in pairs."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

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
from maskunet.experiments.markdown import INTERVALS

METHODS = "method/preset:part@guidance with commas between; plain is added"
NOTES = (
    "One picture each of the same prompts, seeds and steps. Total is the sum of the rewards that most of these methods "
    "optimize; correct is what the checker says, which nothing optimizes, so its column is the one that counts. "
    "Differences are paired, prompt by prompt. "
    f"{INTERVALS}. p is the sign test's of different prompts fixed against broken; Holm's p is for "
    "all lines together. A U-Net call with a gradient takes about three times as long as one without."
)


@dataclass(frozen=True, kw_only=True)
class Options(SamplingOptions):
    methods: str = option("reno,best_of_n/fifty,maskunet_free/fifty", METHODS, trained=True)
    tasks: str = option("all", "task names with commas, or all")
    n: int = option(8, "prompts per task", low=1)
    seed: int = seed_option(1, "which prompts, and their noise")
    split: str = split_option()
    out: Path = option(writes="folder", help="folder for rows and tables")


def run(options: Options) -> None:
    """Make what is missing in the folder's rows, then write and tell the tables.

    Raises:
        ValueError: an unknown method, task or model, or a folder of another match; says what to do.
    """
    from maskunet.experiments.race.entrants import entrants
    from maskunet.experiments.study import subjects

    chosen = entrants(options.methods)
    prompts = subjects(options.tasks, n=options.n, seeds=1, seed=options.seed, split=options.split)
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.experiments import journal, judges, match
    from maskunet.machine import versions
    from maskunet.records import Request

    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    steps, guidance = options.steps or loaded.model.steps, options.guidance or loaded.model.guidance
    about = {**identity, "steps": steps, "guidance": guidance}
    about |= {name: getattr(options, name) for name in ("tasks", "seed", "split")}
    make_folder(options.out)
    file = options.out / "rows.jsonl"
    done = journal.resume(file, about, "match")
    journal.check_methods(options.out, {each.name: each.way(loaded.model, loaded.rewards) for each in chosen})
    asked = Request(prompt="-", model=loaded.model.name, steps=steps, guidance=guidance)
    with resumable() as should_stop:
        made = match.make(loaded, asked, chosen, prompts, done=done, should_stop=should_stop)
        keys, total = [(row["entrant"], row["number"]) for row in done], len(prompts) * len(chosen)
        kept = journal.kept(made, file)
        follow(kept, lambda row: (row["entrant"], row["number"]), keys, unit="image", total=total, shown=True)
    names = [each.name for each in chosen]
    rows = [r for r in journal.read(file, about, "match") if r["entrant"] in names and r["number"] < len(prompts)]
    rows.sort(key=lambda row: (names.index(row["entrant"]), row["number"]))
    found = match.report(rows)
    save(
        options,
        found,
        {"command": command_line("match", options, model=loaded.model.name), "versions": versions(), **about},
    )
    sys.stdout.write(match.tables(found) + "\n")


def save(options: Options, found: dict, about: dict) -> None:
    """Write match.json and match.md."""
    from maskunet.experiments import match
    from maskunet.experiments.markdown import NO_VERDICT
    from maskunet.records.disk import whole

    whole.write(options.out / "match.json", json.dumps({"about": about, **found}, indent=1) + "\n")
    asked = f"n = {found['n']} prompts, {found['different']} different, {about['steps']} steps, guidance {about['guidance']:g}"
    text = f"# One picture each\n\nMade by `{about['command']}` on {about['model']}: {asked}.\n\n"
    notes = NOTES if found["alone"][0]["correct"] is not None else f"{NOTES} {NO_VERDICT}"
    whole.write(options.out / "match.md", f"{text}{match.tables(found)}\n\n{notes}\n")


SPEC = CommandSpec(
    name="match", title="one picture of each method, compared in pairs; run it again to go on", options=Options, run=run
)
