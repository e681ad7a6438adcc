"""python -m maskunet evaluate: run the tabletop tasks with the checker."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from maskunet.commands.base import BatchOptions, CommandSpec, bar, option, seed_option


@dataclass(frozen=True, kw_only=True)
class Options(BatchOptions):
    tasks: str = option("all", "task names with commas, or all")
    n: int = option(100, "images per task", low=1)
    seed: int = seed_option(1)
    against: tuple[Path, ...] = option(
        (), "an earlier evaluation to compare with, image by image", metavar="DIR", read=Path, repeat=tuple
    )
    split: str = option("test", choices=("test", "train"))
    out: Path = option(writes="folder", help="folder for the tables")


def run(options: Options) -> None:
    """Make and judge the pictures, then write and tell the tables.

    Raises:
        ValueError: an unknown task, method or model, or an earlier evaluation that is none.
    """
    from maskunet.experiments import evaluate, judges
    from maskunet.machine import versions
    from maskunet.methods import method_of
    from maskunet.methods.base import filled

    request = options.request("-")
    spec = method_of(request.method)
    settings = spec.settings(request.preset, request.settings)
    # Mistakes so far were told at once; from here on it takes seconds.
    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    request = filled(request, spec, loaded.model)
    names = ("tasks", "n", "seed", "split", "batch")
    asked = {name: getattr(options, name) for name in names}
    rows = []
    with bar("image") as line:
        for row in evaluate.evaluate(loaded, request, **asked):
            rows.append(row)
            line.update()
    about = {
        "request": {k: v for k, v in asdict(request).items() if k not in ("prompt", "seed")},
        "settings": asdict(settings),
        **asked,
        "device": identity["device"],
        "judges": identity["judges"],
        "versions": versions(),
        "weights": spec.weights(loaded.model, settings, loaded.rewards),
    }
    evaluate.save(options.out, rows, about)
    sys.stdout.write(evaluate.table(evaluate.summarize(rows)) + "\n")
    for folder in options.against:
        paired = evaluate.paired(rows, evaluate.load(folder))
        sys.stdout.write(evaluate.paired_line(folder.name, paired) + "\n")


SPEC = CommandSpec(name="evaluate", title="run the tabletop tasks with the checker", options=Options, run=run)
