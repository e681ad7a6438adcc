"""The table of ReVersion: what a word learns of a relation."""

import sys

from maskunet.commands.base import UsageError, command_line, follow, make_folder, resumable
from maskunet.commands.table.learned import learn
from maskunet.commands.table.options import Options, embedded

OTHERWISE = (
    "The table of ReVersion is for tabletop, whose checker sees the relations. Train on your own pictures with "
    "python -m maskunet train reversion; docs/personalize.md has the commands."
)


def run(options: Options) -> None:
    """ReVersion's twin: train, then make and judge what is missing in the folder's rows."""
    from itertools import product

    from maskunet.experiments import journal, judges
    from maskunet.experiments.tables import reversion, reversion_report
    from maskunet.machine import versions

    if not embedded(options):
        raise UsageError(OTHERWISE)
    n, trainings = options.pictures, range(options.seeds)
    changes = {**options.set, **({"steps": options.steps} if options.steps else {})}
    chosen = [reversion.settings(changes, steering, seed) for seed in trainings for steering in reversion.STEERINGS]
    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    guidance = loaded.model.guidance if options.guidance is None else options.guidance
    about = {**identity, "guidance": guidance, "set": changes}
    make_folder(options.out)
    path = options.out / "rows.jsonl"
    done = journal.resume(path, about, "table")
    with resumable() as should_stop:
        each = product(reversion.RELATIONS, chosen)
        learn([reversion.train(loaded.model, relation, how, options.out) for relation, how in each], should_stop)
        if should_stop():
            return
        made = reversion.make(loaded, n, trainings, options.out, done=done, guidance=guidance, should_stop=should_stop)
        rows_of = sum(1 if row.steering is None else options.seeds for row in reversion.ROWS.values())
        total = n * len(reversion.RELATIONS) * rows_of
        follow(journal.kept(made, path), reversion.key, map(reversion.key, done), unit="image", total=total, shown=True)
        finished = "stopped before all were made" if should_stop() else "all of them"
    rows = [
        row
        for row in journal.read(path, about, "table")
        if row["number"] < n and (row["training"] or 0) < options.seeds
    ]
    lines = reversion.summarize(rows)
    about |= {"trainings": options.seeds, "steps": chosen[0].steps, "finished": finished}
    about |= {"command": command_line(options.kind, options), "versions": versions()}
    reversion_report.save(options.out, lines, about)
    sys.stdout.write(reversion_report.markdown(lines, about))
