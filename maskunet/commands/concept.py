"""python -m maskunet concept ACTION CONCEPT: which weights carry a concept, as a mask that erases or amplifies it.

make WORD    a word of the embedded worlds, such as red, or binding or position; or any name of your own with --prompts,
             --rivals and --retain-prompts
list         the concept masks of the model
study        make, judge and compare the masks of every word; again goes on

A mask is kept in trained/MODEL/NAME; the method held_mask puts it on, as much of it as its dose says.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import (
    CommandSpec,
    ModelOptions,
    UsageError,
    bar,
    comma_separated,
    command_line,
    key_value,
    make_folder,
    option,
    resumable,
    seed_option,
)

if TYPE_CHECKING:
    from maskunet.experiments.concepts.concept import Concept
    from maskunet.experiments.concepts.make import Making
    from maskunet.experiments.concepts.study import Study


MAKE, STUDY = {"action": ("make",)}, {"action": ("study",)}


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    action: str = option(choices=("make", "list", "study"), positional=True)
    concept: str = option("", "of make", positional=True)
    retain: tuple[str, ...] = option(
        ("colors", "shapes", "textures", "counts"),
        "attributes that must stay, with commas",
        read=comma_separated,
        only_for=MAKE,
    )
    prompts: Path | None = option(None, "prompts that show the concept", metavar="FILE", only_for=MAKE)
    rivals: Path | None = option(
        None,
        "a line for each of them, what is there without it; several with | between them",
        metavar="FILE",
        only_for=MAKE,
    )
    retain_prompts: Path | None = option(None, "prompts that must stay as they are", metavar="FILE", only_for=MAKE)
    clip: Path | None = option(
        None, "a CLIP in transformers' format looks, in place of the rewards", metavar="DIR", only_for=MAKE
    )
    amplify: bool = option(False, "remove what works against the concept, not what carries it", only_for=MAKE)
    set: dict[str, Any] = option(
        {}, "rounds, share…", metavar="KEY=VALUE", read=key_value, repeat=dict, only_for={"action": ("make", "study")}
    )
    name: str | None = option(None, "of the mask; erase_CONCEPT if left out", only_for=MAKE)
    seed: int = seed_option(0, "of prompts and noise", only_for=MAKE)
    concepts: tuple[str, ...] = option((), "words, with commas; all if left out", read=comma_separated, only_for=STUDY)
    n: int = option(32, "pictures of each group", low=1, only_for=STUDY)
    few: int = option(16, "pictures of each dose, rival and pair", low=1, only_for=STUDY)
    steps: int = option(8, "of its pictures", low=1, high=100, only_for=STUDY)
    out: Path = option(Path("concepts"), "folder; give it again to go on", writes="folder", only_for=STUDY)


def run(options: Options) -> None:
    """Make a concept mask, list those that there are, or study them all.

    Raises:
        ValueError: an unknown concept, one that hardly any picture shows, or one whose first round harms what must
            stay; says what to do.
    """
    {"make": _make, "list": _list, "study": _study}[options.action](options)


def _make(options: Options) -> None:
    """Make a mask and keep it; a line for each round."""
    from maskunet.experiments.concepts import make
    from maskunet.library.library import Library
    from maskunet.records import held_mask
    from maskunet.runs import mask_report, mask_sources

    if not options.concept:
        raise UsageError("make takes a concept, such as red")
    making, library = _making(options), Library(options.model, options.weights, options.device, **options.added)
    concept = _concept(options, library.spec(library.default).embedded)
    name = options.name or f"{making.direction}_{options.concept}"
    path = mask_sources.free_place(
        name, library.default, library.parts(library.default).get("mask", {}), library.trained
    )
    model, rewards = _judged(options, library)
    for last in make.make(model, rewards, concept, making):
        wins = ", ".join(f"{attribute} {share:.0%}" for attribute, share in last.wins.items())
        sys.stderr.write(
            f"{len(last.removed):,} weights gone: {options.concept} seen in {last.seen:.0%} of the pictures; what must "
            f"stay wins {wins}\n"
        )
    make.check(concept, making, last)
    sys.stderr.write(f"{make.ENDS[last.end]}\n")
    mask = make.held_mask(
        model, concept, making, last, {"command": command_line("concept", options, model=library.default)}
    )
    held_mask.save(mask, path)
    sys.stdout.write(f"{mask_report.line(name, mask)}\n")


def _making(options: Options) -> "Making":
    from maskunet.experiments.concepts.make import Making
    from maskunet.plugins import chosen

    direction = {"direction": "amplify"} if options.amplify else {}
    return chosen({"concept": Making()}, "A concept mask", "", {**options.set, **direction})


def _concept(options: Options, embedded: bool) -> "Concept":
    from maskunet.experiments.concepts import concept, listed, relations

    files = (options.prompts, options.rivals, options.retain_prompts)
    if not embedded or any(files):
        return listed.read(options.concept, *files, seed=options.seed)
    retain = concept.retained(options.retain, options.concept)
    if options.concept in relations.TASKS:
        return relations.RelationConcept(name=options.concept, retain=retain, seed=options.seed)
    attribute = concept.attribute_of(options.concept)
    return concept.TabletopConcept(name=options.concept, attribute=attribute, retain=retain, seed=options.seed)


def _judged(options: Options, library: Any) -> tuple[Any, Any]:
    """The model, and what looks at its pictures.

    Raises:
        ValueError: neither rewards nor a CLIP are here; says how to get them.
    """
    from maskunet.rewards.base import required

    loaded = library.load(library.default, with_rewards=options.clip is None)
    if options.clip is None:
        return loaded.model, required(loaded.rewards)
    from maskunet.experiments.concepts import clip

    return loaded.model, clip.load(options.clip, library.device)


def _list(options: Options) -> None:
    from maskunet.experiments.concepts.concept import ATTRIBUTES
    from maskunet.library.library import Library
    from maskunet.runs import mask_report

    library = Library(options.model, options.weights, options.device, **options.added)
    lines = mask_report.lines(library.parts(library.default).get("mask", {}), made="concept")
    sys.stdout.writelines(f"{line}\n" for line in lines or [f"{library.default} has no concept masks here."])
    if library.spec(library.default).embedded:
        words = "; ".join(f"{attribute}: {', '.join(values)}" for attribute, values in ATTRIBUTES.items())
        sys.stdout.write(f"Words to make one of: {words}.\n")


def _study(options: Options) -> None:
    """Make and judge what is missing, and report what there is; Ctrl+C keeps what is done."""
    from maskunet.experiments.concepts import report, study
    from maskunet.machine import versions

    asked = _asked(options)
    make_folder(asked.out)
    with resumable() as should_stop, bar("", bar_format="{desc} [{elapsed}]") as line:
        for text in study.run(asked, should_stop):
            line.set_description_str(text)
    about = {
        "command": command_line("concept", options, model=asked.loaded.model.name).replace(" '' ", " "), "model": asked.loaded.model.name, "versions": versions(),
        **asked.shared,
    }  # fmt: skip
    report.save(asked, asked.rows(), about)
    sys.stdout.write(report.markdown(asked, asked.rows(), about))


def _asked(options: Options) -> "Study":
    from maskunet.experiments import judges
    from maskunet.experiments.concepts import concept
    from maskunet.experiments.concepts.study import PAIRS, Study

    known = {each.name: each for each in concept.concepts()}
    names = options.concepts or tuple(known)
    for name in names:
        if name not in known:
            raise UsageError(f"there is no concept “{name:.40}” to study; there are: {', '.join(known)}")
    model = "tabletop" if options.model == "auto" else options.model
    loaded, identity = judges.load(model, options.weights, options.device, **options.added)
    judges.check_eyes(loaded, "The study of concepts")
    return Study(
        loaded=loaded, concepts=[known[name] for name in names], making=_making(options), n=options.n, few=options.few,
        pairs=[pair for pair in PAIRS if {*pair} <= {*names}], steps=options.steps, identity=identity, out=options.out,
    )  # fmt: skip


SPEC = CommandSpec(
    name="concept",
    title="which weights carry a concept: a mask that erases or amplifies it",
    about=__doc__,
    options=Options,
    run=run,
)
