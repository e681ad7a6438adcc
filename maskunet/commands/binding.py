"""What `python -m maskunet table 2` and `table 3` do: pictures of every method, then the table."""

import argparse
import sys
from typing import Any

DEFAULT_PICTURES = 60
REAL = (
    "Tables 2 and 3 are one command on tabletop only. With real files make the pictures of each row with "
    "python -m maskunet sample and judge them with python -m maskunet benchmark; docs/results/tables/README.md has the commands."
)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Make this process's share of what is missing, and write the table of what there is.

    Raises:
        ValueError: another model than tabletop, or a folder of other rows; says what to do.
    """
    from maskunet import machine
    from maskunet.experiments import judges, rows
    from maskunet.experiments.study import subjects
    from maskunet.experiments.tables import binding
    from maskunet.machine import interruptible
    from maskunet.records import Request

    if args.model != "tabletop" or args.weights or args.coco or args.laion:
        parser.error(REAL)
    if args.set or args.steps:
        parser.error("tables 2 and 3 train nothing; leave out --set and --steps")
    table, per_task = binding.TABLES[args.number], args.n or DEFAULT_PICTURES
    rank, world = machine.place()
    tasks = ",".join(table.tasks.values())
    pairs = subjects(tasks, n=per_task, seeds=args.seeds)
    found = judges.load(args.model, args.weights, args.device)
    model = found.loaded.model
    guidance = model.guidance if args.guidance is None else args.guidance
    about = {**found.about, "guidance": guidance}
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"binding-{rank}.jsonl"
    rows.resume(path, about, "table")
    asked = Request(prompt="-", model=model.name, guidance=guidance)
    mine = [pair for number, pair in enumerate(pairs) if number // len(table.tasks) % world == rank]
    with interruptible() as should_stop:
        made = binding.make(
            model, found.loaded.rewards, found.checker, asked, list(table.rows()), mine,
            done=_rows(args, about), should_stop=should_stop,
        )  # fmt: skip
        _follow(rows.kept(made, path), len(mine) * len(table.rows()), shown=rank == 0)
        if should_stop():
            sys.stderr.write("Stopped. Give the same command again to go on.\n")
    wanted = {(case.prompt, seed) for case, seed in pairs}  # the folder may have more, of the other table
    every = [row for row in _rows(args, about) if (row["prompt"], row["seed"]) in wanted]
    if rank == 0 or len({_key(row) for row in every}) == len(pairs) * len(table.rows()):
        _report(args, about, every, per_task)


def _key(row: dict[str, Any]) -> tuple:
    return row["row"], row["task"], row["prompt"], row["seed"]


def _rows(args: argparse.Namespace, about: dict[str, Any]) -> list[dict[str, Any]]:
    """What all processes have made, for either table: rows that both have are made once."""
    from maskunet.experiments import rows

    return [
        row for path in sorted(args.out.glob("binding-*.jsonl")) for row in rows.read(path, about, "table")
    ]


def _follow(made: Any, total: int, shown: bool) -> None:
    from tqdm import tqdm

    with tqdm(unit="image", disable=not shown, file=sys.stderr, desc=f"at most {total}") as bar:
        for row in made:
            bar.set_postfix_str(row["row"], refresh=False)
            bar.update()


def _report(args: argparse.Namespace, about: dict[str, Any], every: list[dict], per_task: int) -> None:
    from maskunet.experiments.tables import binding, binding_report
    from maskunet.machine import versions

    table = binding.TABLES[args.number]
    lines = binding.summarize(table, every)
    asked = per_task * args.seeds
    n = min(share["n"] for share in lines[0]["tasks"].values())
    guidance = "" if args.guidance is None else f" --guidance {args.guidance:g}"
    command = f"python -m maskunet table {args.number} --pictures {per_task} --seeds {args.seeds}{guidance} --out DIR"
    finished = "all of them" if n >= asked else f"stopped before all {asked} were made"
    about = {**about, "command": command, "finished": finished, "versions": versions()}
    binding_report.save(args.out, args.number, table, lines, about)
    sys.stdout.write(binding_report.markdown(table, lines, about))
