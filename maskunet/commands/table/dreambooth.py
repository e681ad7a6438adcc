"""The table of DreamBooth: who learns a subject."""

import sys

from maskunet.commands.base import UsageError, bar, command_line, make_folder, resumable
from maskunet.commands.table.options import Options, embedded

OTHERWISE = (
    "The table of DreamBooth is for tabletop, whose judges know the subjects. Train on your own pictures with "
    "python -m maskunet train dreambooth; docs/personalize.md has the commands."
)


def run(options: Options) -> None:
    """The table of DreamBooth: what is missing of it, each picture's row on disk at once, and the table of what there is."""
    if not embedded(options):
        raise UsageError(OTHERWISE)
    from contextlib import closing
    from dataclasses import asdict

    from maskunet.experiments import journal, judges
    from maskunet.experiments.dreambooth import make, report
    from maskunet.machine import versions

    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    plan = make.Plan(
        subject=options.subject, steps=options.steps, pictures=options.pictures, changes=options.set,
        guidance=loaded.model.guidance if options.guidance is None else options.guidance,
    )  # fmt: skip
    make_folder(options.out)
    path, about = options.out / "pictures.jsonl", {**identity, **asdict(plan)}
    done = journal.resume(path, about, "table")
    with resumable() as should_stop, bar("", bar_format="{desc} [{elapsed}]") as line:
        with closing(make.make(loaded.model, plan, options.out, done, line.set_description_str, should_stop)) as made:
            for _ in journal.kept(made, path):
                pass
        finished = "stopped before all pictures were made" if should_stop() else "all of them"
    about |= {"command": command_line(options.kind, options), "finished": finished, "versions": versions()}
    sys.stdout.write(report.save(options.out, journal.read(path, {**identity, **asdict(plan)}, "table"), about))
