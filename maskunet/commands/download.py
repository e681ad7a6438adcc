"""python -m maskunet download: get weights that are not embedded."""

import sys
from dataclasses import dataclass

from maskunet.commands import base
from maskunet.commands.base import CommandSpec, option


@dataclass(frozen=True, kw_only=True)
class Options(base.Options):
    name: str = option(
        help="a base model, rewards, tiny_decoder, a fine-tuned U-Net (dpo, spo, inpo), or a benchmark", positional=True
    )
    yes: bool = option(False, "agree to the download's size")


def run(options: Options) -> None:
    """Download once the size is agreed to, by --yes or at the terminal.

    Raises:
        ValueError: nothing of that name, or nobody agreed.
    """
    from maskunet.library import download

    plan = download.plan(options.name)
    agreed = options.yes
    if not agreed and sys.stdin.isatty():
        answer = input(f"{plan.title}: {plan.gigabytes:.2f} GB to {plan.place}. Download? [y/N] ")
        agreed = answer.strip().lower() in ("y", "yes")
    download.download(options.name, consent=agreed)
    sys.stdout.write(f"On this machine now: {plan.title}.\n")


SPEC = CommandSpec(name="download", title="get weights that are not embedded", options=Options, run=run)
