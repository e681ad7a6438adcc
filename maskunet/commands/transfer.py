"""python -m maskunet transfer: whether a mask is made for its prompt, seed, step and base."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import (
    CommandSpec,
    DeviceOptions,
    bar,
    comma_separated,
    command_line,
    make_folder,
    option,
    resumable,
    seed_option,
)

if TYPE_CHECKING:
    from maskunet.experiments.transfer.make import Study


@dataclass(frozen=True, kw_only=True)
class Options(DeviceOptions):
    models: tuple[str, ...] = option(
        ("tabletop", "tabletop_web"),
        "base models, with commas, or NAME=FOLDER for other weights of one; masks are carried between two",
        read=comma_separated,
    )
    sources: tuple[str, ...] = option(
        ("maskunet_free/improved", "maskunet_trained:light"),
        "whose masks, as in a race, with commas",
        read=comma_separated,
        trained=True,
    )
    n: int = option(3, "prompts per task; every one gets every one's mask", low=1, high=30)
    steps: int | None = option(None, "denoising steps", low=1, high=100)
    seed: int = seed_option(1, "of the prompts and their noise")
    out: Path = option(writes="folder", help="folder; give it again to go on")

    @property
    def bases(self) -> tuple[tuple[str, Path | None], ...]:
        """The base models whose trained parts are named, each with the folder of its weights, if one is given."""
        given = (model.partition("=") for model in self.models)
        return tuple((name, Path(folder) if folder else None) for name, _, folder in given)


def run(options: Options) -> None:
    """Make what is missing, and report what there is; Ctrl+C keeps what is done.

    Raises:
        ValueError: an unknown base, method or trained part, a method without masks, or the folder of another study.
    """
    from maskunet.experiments import journal
    from maskunet.experiments.transfer import make, report
    from maskunet.machine import versions

    study, identity = _study(options)
    about = {"bases": identity, "steps": study.asked.steps, "n": options.n, "seed": options.seed}
    make_folder(options.out)
    file = options.out / "rows.jsonl"
    rows = journal.resume(file, about, "study")
    ways = {
        f"{source.name} on {base}": source.way(loaded.model, loaded.rewards)
        for base, loaded in study.bases.items()
        for source in study.sources
    }
    journal.check_methods(options.out, ways)
    done = {make.key(row) for row in rows}
    with resumable() as should_stop, bar("picture", make.total(study), initial=len(done)) as line:
        for row in journal.kept(make.make(study, done, should_stop), file):
            rows.append(row)
            line.set_description_str(f"{row['base']} {row['source'] or 'plain'}")
            line.update()
    text = report.save(
        options.out, rows, {"command": command_line("transfer", options), "versions": versions(), **about}
    )
    sys.stdout.write(text)


def _study(options: Options) -> "tuple[Study, dict[str, Any]]":
    from maskunet.experiments import judges
    from maskunet.experiments.transfer import make
    from maskunet.records import Request
    from maskunet.runs.entrant import entrant

    sources = [entrant(name) for name in options.sources]
    if len(options.models) > 2:
        raise ValueError("Masks are carried between two bases; give --models one or two.")
    bases = zip(options.models, options.bases, strict=True)
    found = {name: judges.load(*base, options.device) for name, base in bases}
    for loaded, _ in found.values():
        judges.check_eyes(loaded, "The study of transfer")
        for source in sources:  # a part that is not there is told before any picture is made
            source.spec.parts(loaded.model, source.spec.settings(source.preset, source.named()))
    some = next(iter(found.values()))[0].model
    study = make.Study(
        bases={name: loaded for name, (loaded, _) in found.items()}, sources=sources,
        subjects=make.subjects(options.n, options.seed), seed=options.seed, out=options.out,
        asked=Request(prompt="-", steps=options.steps or some.steps),
    )  # fmt: skip
    return study, {name: identity for name, (_, identity) in found.items()}


SPEC = CommandSpec(
    name="transfer", title="whether a mask is made for its prompt; run it again to go on", options=Options, run=run
)
