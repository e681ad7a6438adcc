"""python -m maskunet bench: what a part of the work costs, on this machine."""

import json
import logging
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet import plugins
from maskunet.commands.base import CommandSpec, DeviceOptions, UsageError, command_line, option
from maskunet.commands.base.listing import columns

if TYPE_CHECKING:
    import torch

PART = (
    "loop, if left out: the training-free loop beside the published one's shape; masks: trained and random ones "
    "beside none; memory and operations: of the loop at Stable Diffusion's size, counted; statistics: counting the masks "
    "during a run; batches: pictures that share U-Net calls beside pictures made alone; training: memory and operations of "
    "each recipe at Stable Diffusion's size, counted; start: the page's start beside the imports it needs"
)
SIZE = (
    "of the model, by default the smallest; sd15 takes random weights: 5 GB of memory for statistics "
    "and masks, 16 GB for loop, next to none for memory, operations and training; sdxl is for memory"
)


@dataclass(frozen=True, kw_only=True)
class Options(DeviceOptions):
    part: str = option("loop", PART, choices=plugins.names("maskunet.bench"), positional=True)
    size: str | None = option(None, SIZE, choices=("tabletop", "sd15", "sdxl"))
    rounds: int = option(9, "how often each is timed, in turn", low=1)
    out: Path | None = option(None, "the figures as JSON", metavar="FILE", writes="file")


def run(options: Options) -> None:
    """Time the part and print its figures; also write them, if asked to.

    Raises:
        ValueError: the part does not take this size, or there is no such device.
    """
    import torch

    from maskunet import bench
    from maskunet.library.library import Library
    from maskunet.machine import versions
    from maskunet.records.disk import whole

    spec = bench.SPECS[options.part]
    size = options.size or spec.sizes[0]
    if size not in spec.sizes:
        raise UsageError(f"{spec.name} takes the size {' or '.join(spec.sizes)}, not {size}")
    logging.getLogger("maskunet.bench").setLevel(logging.INFO)  # its rounds, which may take minutes
    library = Library("tabletop", device=options.device)
    figures = spec.run(library, size, options.rounds)
    record = {
        "command": command_line("bench", replace(options, size=size)),
        **figures,
        "device": library.device.type,
        "threads": torch.get_num_threads(),
        "machine": machine(library.device),
        "versions": versions(),
    }
    if options.out:
        whole.write(options.out, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    sys.stdout.writelines(f"{line}\n" for line in lines(figures))


def machine(device: "torch.device") -> str:
    """The machine in words: the device with its cores or memory, and the processor's name."""
    from maskunet.machine import device_name

    about = Path("/proc/cpuinfo")
    names = about.read_text(encoding="utf-8").splitlines() if about.is_file() else []
    named = (line.partition(":")[2].strip() for line in names if line.startswith("model name"))
    return f"{device_name(device)}; {next(named, platform.processor() or platform.machine())}"


def lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures as text: one line each, and rows as a table below."""
    for name, value in figures.items():
        if isinstance(value, list):
            cells = ([_cell(each) for each in row.values()] for row in value)
            yield from ("", *columns([list(value[0]), *cells]))
        else:
            yield f"{name:32s} {_cell(value)}"


def _cell(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else "-" if value is None else str(value)


SPEC = CommandSpec(name="bench", title="what a part costs, as ratios from one run", options=Options, run=run)
