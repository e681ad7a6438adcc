"""What a table can be told, and what of it is only for some."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from maskunet import plugins
from maskunet.commands.base import ModelOptions, UsageError, command_line, key_value, option

TRAINED, BINDING = ("1", "4", "9b"), ("2", "3")  # the second ones train nothing
DREAMBOOTH, INVERSION, REVERSION, VIDEO = "dreambooth", "inversion", "reversion", "video"
NUMBERS = ("1", "2", "3", "4", DREAMBOOTH, INVERSION, REVERSION, VIDEO)
PICTURES = {
    **dict.fromkeys(TRAINED, 500), **dict.fromkeys(BINDING, 60), DREAMBOOTH: 20, INVERSION: 40, REVERSION: 20,
    VIDEO: 4,
}  # fmt: skip
LEAST = {**dict.fromkeys((*TRAINED, INVERSION, REVERSION), 4)}  # of them; of the others 1
PICTURES_HELP = (
    f"per row and seed, {PICTURES['1']} if left out; of tables 2 and 3 per task too, {PICTURES['2']}; of a subject for each kind "
    f"of prompt, {PICTURES[DREAMBOOTH]}; of a learned word {PICTURES[INVERSION]}, of a learned relation {PICTURES[REVERSION]}; videos per task {PICTURES[VIDEO]}; torchrun and "
    "accelerate launch take --n for one of theirs"
)
LEARNING = (*TRAINED, DREAMBOOTH, INVERSION, REVERSION)
ONLY = {
    **dict.fromkeys(("coco", "laion", "extractor", "features", "clip", "latents"), TRAINED),
    **dict.fromkeys(("steps", "set"), LEARNING), "subject": (DREAMBOOTH,), "split": (INVERSION, VIDEO),
    "seeds": tuple(number for number in (*NUMBERS, "9b") if number != DREAMBOOTH),
}  # fmt: skip
"""Which tables and figures an option is for, where not for all."""
SPLIT = "of the tables inversion and video: settings are chosen on train's subject or prompts and told on test's"


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    kind: ClassVar[str] = "table"

    number: str = option(help="which table", choices=NUMBERS, positional=True)
    model: str = option("tabletop", "base model")
    coco: Path | None = option(None, "COCO's pictures, such as val2017", metavar="DIR")
    laion: Path | None = option(None, "what other models than tabletop train on", metavar="DIR")
    extractor: str = option(
        "inception", "of features, beside COCO", choices=plugins.names("maskunet.evaluation.extractors")
    )
    features: Path | None = option(None, "weights of the extractor: file or folder", metavar="PATH")
    clip: Path | None = option(None, "a CLIP for the CLIP score, beside COCO", metavar="DIR")
    latents: Path | None = option(None, "cached latents of the tabletop scenes", metavar="DIR")
    guidance: float | None = option(None, "guidance scale; the model's, or the paper's 7.5", low=1, high=30)
    steps: int = option(0, "optimizer steps of every row; the preset's if left out", low=0)
    pictures: int | None = option(None, PICTURES_HELP, low=1, also="n", metavar="N")
    seeds: int = option(3, "trainings, or noises per prompt, of each row", low=1)
    subject: str = option("hat", "of the table dreambooth: what is learned", choices=("hat", "mushroom", "cone"))
    split: str = option("test", SPLIT, choices=("test", "train"))
    set: dict[str, Any] = option(
        {}, "a setting of the recipes, such as every=50", metavar="KEY=VALUE", read=key_value, repeat=dict
    )
    out: Path = option(writes="folder", help="folder; give it again to go on")


def embedded(options: Options) -> bool:
    """Whether the model is one that comes with its own world, and nothing else was given."""
    from maskunet.models import SPECS

    own = options.model in SPECS and SPECS[options.model].embedded
    return own and not (options.weights or options.coco or options.laion)


def check(options: Options, otherwise: str, trains_nothing: str = "") -> None:
    """Refuse another model than an embedded one, and what is for other tables.

    Raises:
        UsageError: says what to do: `otherwise`, or that `trains_nothing`, such as “tables 2 and 3 train”.
    """
    if not embedded(options):
        raise UsageError(otherwise)
    if trains_nothing and (options.set or options.steps):
        raise UsageError(f"{trains_nothing} nothing; leave out --set and --steps")
    check_own(options)


def check_own(options: Options) -> None:
    """Refuse what is for other tables.

    Raises:
        UsageError: says which option.
    """
    usual = type(options)(number=options.number, out=options.out)
    foreign = [name for name in _of_others(options) if getattr(options, name) != getattr(usual, name)]
    if foreign:
        raise UsageError(f"{options.kind} {options.number} takes no --{foreign[0]}; leave it out")


def made_by(options: Options, model: str = "auto") -> dict[str, Any]:
    """What a report says of how it was made: the command line, without what is for other tables, and the versions.

    Args:
        model: which one it was, if that was left to `auto`.
    """
    from maskunet.machine import versions

    return {
        "command": command_line(options.kind, options, without=_of_others(options), model=model),
        "versions": versions(),
    }


def _of_others(options: Options) -> list[str]:
    return [name for name, numbers in ONLY.items() if options.number not in numbers]
