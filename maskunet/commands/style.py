"""python -m maskunet style: a style LoRA on tabletop, under masks and without, in a two by two table."""

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
    from maskunet.experiments.style.make import Study

MODEL, PLAIN, MASKS = "tabletop", "plain", ("maskunet_trained:light", "maskunet_free/improved")


@dataclass(frozen=True, kw_only=True)
class Options(DeviceOptions):
    masks: tuple[str, ...] = option(
        MASKS, "what puts masks on, as in a race, with commas", read=comma_separated, trained=True
    )
    lora_steps: int = option(100, "optimizer steps of the LoRA", low=1, high=10_000)
    n: int = option(20, "held-out prompts per task", low=1, high=200)
    seed: int = seed_option(5, "of the prompts and their noise")
    out: Path = option(writes="folder", help="folder; give it again to go on")

    @property
    def bases(self) -> tuple[tuple[str, Path | None], ...]:
        """The base model whose trained parts are named."""
        return ((MODEL, None),)


def run(options: Options) -> None:
    """Train the LoRA, make what is missing, and report what there is; Ctrl+C keeps what is done.

    Raises:
        ValueError: no such method or trained part, or the folder holds another study.
    """
    from maskunet.experiments import journal
    from maskunet.experiments.style import make, report
    from maskunet.machine import versions
    from maskunet.records.disk.hub import file_hash

    study, identity = _study(options)
    make_folder(options.out)
    with resumable() as should_stop, bar("", bar_format="{desc} [{elapsed}]") as line:
        for text in make.train(study, should_stop):
            line.set_description_str(text)
        if should_stop():
            return
        shared = {**identity, "lora": file_hash(study.file), "seed": options.seed, "lora_steps": options.lora_steps}
        file = options.out / "rows.jsonl"
        rows = journal.resume(file, shared, "study")
        model, rewards = study.loaded.model, study.loaded.rewards
        journal.check_methods(options.out, {x.name: x.way(model, rewards) for x in (study.plain, *study.masks)})
        done = {make.key(row) for row in rows}
        for row in journal.kept(make.make(study, done, should_stop), file):
            rows.append(row)
            line.set_description_str(f"{row['method']}, LoRA {row['lora'] or 'off'}: {len(rows)} pictures")
    about = {"command": command_line("style", options), "versions": versions(), **shared}
    asked = make.wanted(study)
    rows = [row for row in rows if make.key(row) in asked]  # it may hold more, of an earlier command
    sys.stdout.write(report.save(options.out, report.summarize(rows, PLAIN), about))


def _study(options: Options) -> "tuple[Study, dict[str, Any]]":
    from maskunet.experiments import judges
    from maskunet.experiments.style.make import Study
    from maskunet.runs.entrant import entrant

    masks = [entrant(name) for name in dict.fromkeys(options.masks) if name != PLAIN]
    loaded, identity = judges.load(MODEL, device=options.device)
    for each in masks:  # a part that is not there is told before anything is made
        each.spec.parts(loaded.model, each.spec.settings(each.preset, each.named()))
    how = {"steps": options.lora_steps, "n": options.n, "seed": options.seed, "out": options.out}
    return Study(loaded=loaded, plain=entrant(PLAIN), masks=masks, **how), identity


SPEC = CommandSpec(
    name="style",
    title="a style LoRA on tabletop under masks and without; run it again to go on",
    options=Options,
    run=run,
)
