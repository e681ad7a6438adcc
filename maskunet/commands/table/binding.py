"""Tables 2 and 3, which train nothing and share their rows."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import follow, resumable
from maskunet.commands.table.judged import begin, check_ways
from maskunet.commands.table.options import Options, check, made_by

if TYPE_CHECKING:
    from maskunet.experiments.tables.binding import BindingTable
    from maskunet.library.library import Loaded
    from maskunet.tabletop.tasks import Case

OTHERWISE = (
    "Tables 2 and 3 are one command on tabletop only. With real files make the pictures of each row with "
    "python -m maskunet sample and judge them with python -m maskunet benchmark; docs/results/tables/README.md has the commands."
)


def run(options: Options) -> None:
    """The tables that train nothing: this process's share of what is missing, and the table of what there is."""
    from maskunet import machine
    from maskunet.experiments.study import subjects
    from maskunet.experiments.tables import binding

    check(options, OTHERWISE, "tables 2 and 3 train")
    table = binding.TABLES[options.number]
    rank, world = machine.place()
    pairs = subjects(",".join(table.tasks.values()), n=options.pictures, seeds=options.seeds)
    loaded, about = begin(options)
    about |= binding.SOLVER
    mine = [pair for number, pair in enumerate(pairs) if number // len(table.tasks) % world == rank]
    _make(options, loaded, list(table.rows()), mine, about, rank)
    wanted = {(case.prompt, seed) for case, seed in pairs}  # the folder may have more, of the other table
    every = [row for row in _rows(options, about) if (row["prompt"], row["seed"]) in wanted]
    if rank == 0 or len({key(row) for row in every}) == len(pairs) * len(table.rows()):
        _report(options, table, about, every)


def _make(
    options: Options,
    loaded: "Loaded",
    names: Sequence[str],
    subjects: "Sequence[tuple[Case, int]]",
    about: Mapping[str, Any],
    rank: int,
) -> None:
    """Run until this process's share is made or Ctrl+C is pressed; every row is on disk at once."""
    from maskunet.experiments import journal
    from maskunet.experiments.tables import binding
    from maskunet.records import Request

    path = options.out / f"binding-{rank}.jsonl"
    journal.resume(path, about, "table")
    check_ways(options, loaded, names)
    done = _rows(options, about)
    asked = Request(prompt="-", model=loaded.model.name, guidance=about["guidance"])
    keys = {(name, case.task, case.prompt, seed) for case, seed in subjects for name in names}
    before = keys & {key(row) for row in done}
    with resumable() as should_stop:
        made = binding.make(loaded, asked, names, subjects, done=done, should_stop=should_stop)
        follow(journal.kept(made, path), key, before, unit="image", total=len(keys), shown=rank == 0)


def key(row: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return row["row"], row["task"], row["prompt"], row["seed"]


def _rows(options: Options, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What all processes have made, for either table: rows that both have are made once."""
    from maskunet.experiments import journal

    files = sorted(options.out.glob("binding-*.jsonl"))
    return [row for path in files for row in journal.read(path, about, "table")]


def _report(options: Options, table: "BindingTable", about: Mapping[str, Any], every: list[dict[str, Any]]) -> None:
    from maskunet.experiments.tables import binding, binding_report

    lines = binding.summarize(table, every)
    asked = options.pictures * options.seeds
    n = min(share["n"] for share in lines[0]["tasks"].values())
    finished = "all of them" if n >= asked else f"stopped before all {asked} were made"
    about = {**about, "finished": finished, **made_by(options)}
    binding_report.save(options.out, options.number, table, lines, about)
    sys.stdout.write(binding_report.markdown(table, lines, about))
