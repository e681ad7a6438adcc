"""The table of ReVersion: what a word learns of a relation."""

import sys

from maskunet.commands.base import follow, resumable
from maskunet.commands.table.judged import begin, check_ways
from maskunet.commands.table.learned import changes, learn, rows
from maskunet.commands.table.options import Options, check, made_by

OTHERWISE = (
    "The table of ReVersion is for tabletop, whose checker sees the relations. Train on your own pictures with "
    "python -m maskunet train reversion; docs/personalize.md has the commands."
)


def run(options: Options) -> None:
    """ReVersion's twin: train, then make and judge what is missing in the folder's rows."""
    from itertools import product

    from maskunet.experiments import journal
    from maskunet.experiments.tables import reversion, reversion_report

    check(options, OTHERWISE)
    n, trainings = options.pictures, range(options.seeds)
    chosen = [
        reversion.settings(changes(options), steering, seed) for seed in trainings for steering in reversion.STEERINGS
    ]
    loaded, about = begin(options)
    about["set"] = changes(options)
    path = options.out / "rows.jsonl"
    done = journal.resume(path, about, "table")
    check_ways(options, loaded, (row.method for row in reversion.ROWS.values()))
    with resumable() as should_stop:
        each = product(reversion.RELATIONS, chosen)
        learn([reversion.train(loaded.model, relation, how, options.out) for relation, how in each], should_stop)
        if should_stop():
            return
        made = reversion.make(
            loaded, n, trainings, options.out, done=done, guidance=about["guidance"], should_stop=should_stop
        )
        rows_of = sum(1 if row.steering is None else options.seeds for row in reversion.ROWS.values())
        total = n * len(reversion.RELATIONS) * rows_of
        follow(journal.kept(made, path), reversion.key, map(reversion.key, done), unit="image", total=total, shown=True)
        finished = "stopped before all were made" if should_stop() else "all of them"
    lines = reversion.summarize(rows(options, path, about))
    about |= {"trainings": options.seeds, "steps": chosen[0].steps, "finished": finished, **made_by(options)}
    reversion_report.save(options.out, lines, about)
    sys.stdout.write(reversion_report.markdown(lines, about))
