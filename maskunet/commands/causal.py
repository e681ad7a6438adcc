"""python -m maskunet causal: what each part of the network does, measured by taking it out."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskunet.commands.base import (
    CommandSpec,
    SamplingOptions,
    bar,
    command_line,
    make_folder,
    option,
    resumable,
    seed_option,
    split_option,
)

NOTES = (
    "Every picture is compared with the plain one of the same prompt, seed, steps and guidance. `q` stands for `k` too: "
    "without either attention looks everywhere evenly. `v` stands for `out`: without either the layer says nothing. "
    "Steps count from 1; without “@” a place is out at all of them. Intervals are 95 %, the bootstrap's over prompts; p is "
    "the sign test's of mended against broken prompts, for each line by itself: among many lines some are small by chance. "
    "Correct is what the checker says, which is no reward."
)


@dataclass(frozen=True, kw_only=True)
class Options(SamplingOptions):
    n: int = option(32, "prompts, of all tasks in turn", low=1)
    seed: int = seed_option(1, "which prompts, and the first noise")
    split: str = split_option()
    by: str = option(
        "sites", "whole matrices, over thirds of the steps too, or each head of them", choices=("sites", "heads")
    )
    out: Path = option(writes="folder", help="folder for rows and tables")


def run(options: Options) -> None:
    """Make what is missing in the folder's rows, then write the tables of all rows.

    Raises:
        ValueError: an unknown model, or a folder of another study; says what to do.
    """
    from maskunet.experiments import causal, journal, judges
    from maskunet.machine import versions
    from maskunet.methods import method_of
    from maskunet.methods.base import filled
    from maskunet.records import Request

    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    request = Request(prompt="-", method="knock_out", steps=options.steps, guidance=options.guidance, previews=False)
    request = filled(request, method_of("knock_out"), loaded.model)
    about = {**identity, "steps": request.steps, "guidance": request.guidance}
    about |= {"seed": options.seed, "split": options.split}
    about |= {} if options.by == causal.BY[0] else {"by": options.by}  # folders from before it could be said go on
    make_folder(options.out)
    file = options.out / "rows.jsonl"
    done = journal.resume(file, about, "causal map")
    asked = causal.prompts(options.n, options.seed, options.split)
    total = len(asked) * (1 + len(causal.places(loaded.model.unet, request.steps, options.by)))
    work = causal.causal(loaded, request, asked=asked, done=done, by=options.by)
    with resumable() as should_stop, bar("picture", total, initial=len(done)) as line:
        for row in journal.kept(work, file):
            done.append(row)
            line.update()
            if should_stop():
                break
    made = {"command": command_line("causal", options, model=loaded.model.name), "n": options.n, "versions": versions()}
    found = causal.summarize(
        [row for row in done if row["number"] < options.n]
    )  # it may hold more, of an earlier command
    save(options.out, found, {**made, **about})
    sys.stdout.write(causal.table(found) + "\n")


def save(folder: Path, found: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write causal.json, causal.csv and causal.md."""
    import json

    from maskunet.experiments import causal
    from maskunet.records.disk import whole
    from maskunet.records.table import csv_text

    cells = ",\n".join(json.dumps(cell) for cell in found["cells"])  # a line each: small, and read in a diff
    first = json.dumps({"about": about, "plain": found["plain"], "blocks": found["blocks"]}, indent=1)
    whole.write(folder / "causal.json", f'{first[:-2]},\n "cells": [\n{cells}\n]}}\n')
    whole.write(folder / "causal.csv", csv_text(found["cells"]))
    text = f"# What does each part of the network do?\n\nMade by `{about['command']}`.\n\n{causal.table(found)}\n\n{NOTES}\n"
    whole.write(folder / "causal.md", text)


SPEC = CommandSpec(
    name="causal", title="what each part of the network does; run it again to go on", options=Options, run=run
)
