"""The table of textual inversion: what one word learns."""

import sys
from collections.abc import Mapping
from typing import Any

from maskunet.commands.base import follow, resumable
from maskunet.commands.table.judged import begin, check_ways
from maskunet.commands.table.learned import changes, learn, rows
from maskunet.commands.table.options import Options, check, made_by

OTHERWISE = "table inversion is made on tabletop, whose checker sees the subject; leave --weights and --coco out"


def run(options: Options) -> None:
    """Textual inversion's twin: train, then make and judge what is missing in the folder's rows."""
    from maskunet.experiments import journal
    from maskunet.experiments.tables import inversion, inversion_report

    check(options, OTHERWISE)
    subject, n = inversion.SUBJECTS[options.split], options.pictures
    trainings = [
        (recipe, inversion.settings(changes(options), subject, seed, recipe))
        for recipe in inversion.FOLDERS
        for seed in range(options.seeds)
    ]
    loaded, about = begin(options)
    guidance = about["guidance"]
    about |= {"split": options.split, "set": changes(options)}
    path = options.out / "rows.jsonl"
    done = journal.resume(path, about, "table")
    check_ways(options, loaded, (row.method for row in inversion.ROWS.values()))
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
    lines = inversion.summarize(rows(options, path, about))
    named = {
        "subject": subject.words,
        "begin": subject.shape,
        "trainings": options.seeds,
        "steps": trainings[0][1].steps,
    }
    closed = inversion.all_closed(loaded.model, subject, options.out, range(options.seeds))
    about |= {**named, "closed": closed, **made_by(options)}
    inversion_report.save(options.out, lines, about)
    sys.stdout.write(inversion_report.markdown(lines, about))


def _key(row: Mapping[str, Any]) -> tuple[str, int | None, int]:
    return row["row"], row["training"], row["number"]
