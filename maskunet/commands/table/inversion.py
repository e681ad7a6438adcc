"""The table of textual inversion: what one word learns."""

import sys
from collections.abc import Mapping
from typing import Any

from maskunet.commands.base import UsageError, command_line, follow, make_folder, resumable
from maskunet.commands.table.learned import learn
from maskunet.commands.table.options import Options, embedded

OTHERWISE = "table inversion is made on tabletop, whose checker sees the subject; leave --weights and --coco out"


def run(options: Options) -> None:
    """Textual inversion's twin: train, then make and judge what is missing in the folder's rows."""
    from maskunet.experiments import journal, judges
    from maskunet.experiments.tables import inversion, inversion_report
    from maskunet.machine import versions

    if not embedded(options):
        raise UsageError(OTHERWISE)
    subject, n = inversion.SUBJECTS[options.split], options.pictures
    changes = {**options.set, **({"steps": options.steps} if options.steps else {})}
    trainings = [
        (recipe, inversion.settings(changes, subject, seed, recipe))
        for recipe in inversion.FOLDERS
        for seed in range(options.seeds)
    ]
    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    guidance = loaded.model.guidance if options.guidance is None else options.guidance
    about = {**identity, "guidance": guidance, "split": options.split, "set": changes}
    make_folder(options.out)
    path = options.out / "rows.jsonl"
    done = journal.resume(path, about, "table")
    with resumable() as should_stop:
        learn(
            [inversion.train(loaded.model, subject, how, options.out, recipe) for recipe, how in trainings], should_stop
        )
        if should_stop():
            return
        made = inversion.make(
            loaded, subject, n, range(options.seeds), options.out, done=done, guidance=guidance, should_stop=should_stop
        )
        total = n * sum(1 if row.asked != "token" else options.seeds for row in inversion.ROWS.values())
        follow(journal.kept(made, path), _key, map(_key, done), unit="image", total=total, shown=True)
        if should_stop():
            return
    rows = [
        row
        for row in journal.read(path, about, "table")
        if row["number"] < n and (row["training"] or 0) < options.seeds
    ]
    lines = inversion.summarize(rows)
    named = {
        "subject": subject.words,
        "begin": subject.shape,
        "trainings": options.seeds,
        "steps": trainings[0][1].steps,
    }
    closed = inversion.all_closed(loaded.model, subject, options.out, range(options.seeds))
    about |= {**named, "closed": closed, "command": command_line(options.kind, options), "versions": versions()}
    inversion_report.save(options.out, lines, about)
    sys.stdout.write(inversion_report.markdown(lines, about))


def _key(row: Mapping[str, Any]) -> tuple[str, int | None, int]:
    return row["row"], row["training"], row["number"]
