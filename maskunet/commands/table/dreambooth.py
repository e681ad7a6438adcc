"""The table of DreamBooth: who learns a subject."""

import sys

from maskunet.commands.base import bar, resumable
from maskunet.commands.table.judged import begin
from maskunet.commands.table.options import Options, check, made_by

OTHERWISE = (
    "The table of DreamBooth is for tabletop, whose judges know the subjects. Train on your own pictures with "
    "python -m maskunet train dreambooth; docs/personalize.md has the commands."
)


def run(options: Options) -> None:
    """The table of DreamBooth: what is missing of it, each picture's row on disk at once, and the table of what there is."""
    check(options, OTHERWISE)
    from contextlib import closing
    from dataclasses import asdict

    from maskunet.experiments import journal
    from maskunet.experiments.dreambooth import make, report

    loaded, about = begin(options)
    plan = make.Plan(
        subject=options.subject, steps=options.steps, pictures=options.pictures, changes=options.set,
        guidance=about["guidance"],
    )  # fmt: skip
    path, about = options.out / "pictures.jsonl", {**about, **asdict(plan)}
    done = journal.resume(path, about, "table")
    with resumable() as should_stop, bar("", bar_format="{desc} [{elapsed}]") as line:
        with closing(make.make(loaded.model, plan, options.out, done, line.set_description_str, should_stop)) as made:
            for _ in journal.kept(made, path):
                pass
        finished = "stopped before all pictures were made" if should_stop() else "all of them"
    rows = journal.read(path, about, "table")
    sys.stdout.write(report.save(options.out, rows, {**about, "finished": finished, **made_by(options)}))
