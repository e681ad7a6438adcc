"""python -m maskunet download: get weights that are not embedded."""

import sys
from dataclasses import dataclass
from pathlib import Path

from maskunet.commands import base
from maskunet.commands.base import CommandSpec, answered, option

HUB = "hf://"
NAME = "a base model, rewards or one of them, a judge, tiny_decoder, a fine-tuned U-Net (dpo, spo, inpo), a benchmark, or a trained part, hf://OWNER/NAME"


@dataclass(frozen=True, kw_only=True)
class Options(base.Options):
    name: str = option(help=NAME, positional=True)
    model: str = option("auto", "of a trained part: the base model that it is for")
    weights: Path | None = option(None, "of a trained part: the base model's file or folder", metavar="PATH")
    yes: bool = option(False, "agree to the download's size")


def run(options: Options) -> None:
    """Download once the size is agreed to, by --yes or at the terminal; a trained part at once, as it is small.

    Raises:
        ValueError: nothing of that name, or nobody agreed.
    """
    if options.name.startswith(HUB):
        return _part(options)
    from maskunet.library import download

    plan = download.plan(options.name)
    agreed = options.yes or answered(f"{plan.title}: {plan.gigabytes:.2f} GB to {plan.place}. Download?")
    download.download(options.name, consent=agreed)
    sys.stdout.write(f"On this machine now: {plan.title}.\n")
    return None


def _part(options: Options) -> None:
    """Fetch the newest of a trained part, so that commands, the page and Python offer it."""
    from maskunet.library.library import Library
    from maskunet.records.disk import hub_parts

    library = Library(options.model, options.weights, "cpu")
    name = hub_parts.fetch(options.name, library.trained, library.default, again=True)
    sys.stdout.write(f"On this machine now, for {library.default}: {name}\n")


SPEC = CommandSpec(name="download", title="get weights that are not embedded", options=Options, run=run)
