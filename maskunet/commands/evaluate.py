"""python -m maskunet evaluate: run the tabletop tasks with the checker."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from maskunet.commands.base import (
    BatchOptions,
    CommandSpec,
    follow,
    make_folder,
    option,
    resumable,
    seed_option,
    split_option,
)

ROWS = "rows.jsonl"


@dataclass(frozen=True, kw_only=True)
class Options(BatchOptions):
    tasks: str = option("all", "task names with commas, or all")
    n: int = option(100, "images per task", low=1)
    seed: int = seed_option(1)
    against: tuple[Path, ...] = option(
        (), "an earlier evaluation to compare with, image by image", metavar="DIR", read=Path, repeat=tuple
    )
    split: str = split_option()
    out: Path = option(writes="folder", help="folder for rows and tables; give it again to go on")


def run(options: Options) -> None:
    """Make what is missing in the folder's rows, then write and tell the tables.

    Raises:
        ValueError: an unknown task, method or model, a folder of another evaluation, or an earlier one that is none.
    """
    from maskunet.experiments import evaluate, journal, judges
    from maskunet.machine import versions
    from maskunet.methods import method_of
    from maskunet.methods.base import filled

    request = options.request("-")
    spec = method_of(request.method)
    settings = spec.settings(request.preset, request.settings)
    asked = {name: getattr(options, name) for name in ("tasks", "n", "seed", "split")}
    subjects = evaluate.subjects(**asked)
    keys = [(case.task, noise) for case, noise in subjects]
    earlier = [(folder.name, evaluate.load(folder)) for folder in options.against]
    for _, before in earlier:
        evaluate.check_shared([(case.task, noise, case.prompt) for case, noise in subjects], before)
    # Mistakes so far were told at once; from here on it takes seconds.
    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    request = filled(request, spec, loaded.model)
    about = {
        "request": {k: v for k, v in asdict(request).items() if k not in ("prompt", "seed")},
        "settings": asdict(settings),
        **{name: getattr(options, name) for name in ("seed", "split", "batch")},
        "device": identity["device"],
        "judges": identity["judges"],
        "weights": spec.weights(loaded.model, settings, loaded.rewards),
    }
    make_folder(options.out)
    file = options.out / ROWS
    done = {evaluate.key(row) for row in journal.resume(file, about, "evaluation")}
    with resumable() as should_stop:
        made = evaluate.evaluate(loaded, request, **asked, batch=options.batch, done=done, should_stop=should_stop)
        follow(journal.kept(made, file), evaluate.key, done & set(keys), unit="image", total=len(keys), shown=True)
    found = {evaluate.key(row): row for row in journal.read(file, about, "evaluation")}
    rows = [found[each] for each in keys if each in found]
    if not rows:  # stopped before the first one
        return
    evaluate.save(options.out, rows, {**about, **asked, "versions": versions()})
    sys.stdout.write(evaluate.table(evaluate.summarize(rows)) + "\n")
    for name, before in earlier:
        sys.stdout.write(evaluate.paired_line(name, evaluate.paired(rows, before)) + "\n")


SPEC = CommandSpec(
    name="evaluate", title="run the tabletop tasks with the checker; run it again to go on", options=Options, run=run
)
