"""python -m maskunet concept: which weights carry a concept, as a mask that erases or amplifies it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import (
    CommandSpec,
    ModelOptions,
    bar,
    key_value,
    make_folder,
    option,
    resumable,
)

if TYPE_CHECKING:
    from maskunet.experiments.concepts.study import Study

OUT = Path("concepts")


def _study_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    action: str = option(choices=("make", "list", "study"), positional=True)
    concept: str = option("", "to make: a word of the embedded worlds, or a name of your own", positional=True)
    model: str = option("tabletop", "base model")
    concepts: tuple[str, ...] = option((), "of a study; all, if left out", read=_study_names)
    set: dict[str, Any] = option({}, "how a mask is made", metavar="KEY=VALUE", read=key_value, repeat=dict)
    n: int = option(32, "pictures of each group in a study", low=1)
    few: int = option(16, "pictures of each dose, rival and pair in a study", low=1)
    steps: int = option(8, "of a study's pictures", low=1, high=100)
    out: Path | None = option(None, "a study's folder; give it again to go on", writes="folder")


def run(options: Options) -> None:
    """Make a concept mask, list those that there are, or study them all.

    Raises:
        ValueError: an unknown concept, or one that no picture shows; says what to do.
    """
    {"study": _study}[options.action](options)


def _study(options: Options) -> None:
    from maskunet.experiments.concepts import study

    asked = _asked(options)
    make_folder(asked.out)
    with resumable() as should_stop, bar("", bar_format="{desc} [{elapsed}]") as line:
        for text in study.run(asked, should_stop):
            line.set_description_str(text)


def _asked(options: Options) -> "Study":
    from maskunet.experiments import judges
    from maskunet.experiments.concepts import concept
    from maskunet.experiments.concepts.make import Making
    from maskunet.experiments.concepts.study import PAIRS, Study
    from maskunet.plugins import chosen

    known = {each.name: each for each in concept.concepts()}
    for name in options.concepts:
        concept.attribute_of(name)
    making = chosen({"erase": Making()}, "A concept mask", "", dict(options.set))
    loaded, identity = judges.load(options.model, options.weights, options.device)
    names = options.concepts or tuple(known)
    return Study(
        loaded=loaded, concepts=[known[name] for name in names], making=making, n=options.n, few=options.few,
        pairs=[pair for pair in PAIRS if {*pair} <= {*names}], steps=options.steps, identity=identity,
        out=options.out or OUT,
    )  # fmt: skip


SPEC = CommandSpec(
    name="concept", title="which weights carry a concept: a mask that erases or amplifies it", options=Options, run=run
)
