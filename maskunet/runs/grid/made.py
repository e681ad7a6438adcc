"""A grid as far as it is made: a line for every cell, the sheet, and the files that are left of it."""

import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from maskunet.machine import versions
from maskunet.models.base.model import Judge
from maskunet.records import Request
from maskunet.records.disk import whole
from maskunet.records.grid import FIELDS, GridRequest
from maskunet.records.table import csv_text
from maskunet.runs.grid import sheet
from maskunet.runs.grid.axes import Grid
from maskunet.runs.grid.cells import Cell, CellFolder

SHEET, TABLE, RECORD = "grid.png", "grid.csv", "grid.json"
PER_PIXEL = 1.0  # bytes of a picture's PNG for each of its pixels, where none of its kind is there yet
SEEN = 50  # pictures from which the size of others is guessed
Line = dict[str, Any]
JudgeOf = Callable[[str], Judge | None]
"""What tells a model's pictures right from wrong, by the model's name; None where nobody can tell."""


@dataclass(slots=True)
class MadeGrid:
    """What is known of a grid's cells; in a notebook it is shown as its sheet.

    Attributes:
        judge_of: is asked for every picture that is there.
        lines: of the cells that are there or have failed, by number: what stands at their place, their request, rewards,
            `correct` (what the checker says, None where it says nothing), share of weights kept, seconds, and the file.
        place: a folder that lasts as long as this does, if the cells lie in one.
    """

    grid: Grid
    cells: CellFolder
    judge_of: JudgeOf = lambda model: None
    lines: dict[int, Line] = field(default_factory=dict)
    place: Any = None

    def take(self, numbers: Sequence[int], cell: Cell) -> None:
        """Take note of what `make` tells: a picture, and the cells that show it."""
        correct = None if cell.failed else self._correct(self.grid.cells[numbers[0]], cell.key)
        for number in numbers:
            self.lines[number] = self._line(number, cell, correct)

    def _correct(self, request: Request, key: str) -> bool | None:
        judge = self.judge_of(request.model)
        return None if judge is None else judge(request.prompt, [self.cells.picture(key)])[0]["right"]

    def _line(self, number: int, cell: Cell, correct: bool | None) -> Line:
        request = self.grid.cells[number]
        varied = [axis.name for axis in self.grid.axes if axis.name not in FIELDS]
        return {
            "number": number,
            **self.grid.labels(number),
            **{name: getattr(request, name) for name in FIELDS},
            **{name: request.settings.get(name) for name in varied},
            **{f"reward_{name}": value for name, value in cell.rewards.items()},
            "correct": correct,
            "keep_ratio": None if cell.failed else cell.keep_ratio,
            "seconds": cell.seconds,
            "unet_calls": cell.unet_calls,
            "file": "" if cell.failed else f"{cell.key}.png",
            "note": cell.failed or cell.note,
            "failed": bool(cell.failed),
        }

    @property
    def rows(self) -> list[Line]:
        """The lines in the order of the cells."""
        return [self.lines[number] for number in sorted(self.lines)]

    @property
    def failed(self) -> int:
        """How many cells could not be made."""
        return sum(line["failed"] for line in self.lines.values())

    def picture(self, number: int) -> np.ndarray | None:
        """(H, W, 3) uint8 of a cell, None where there is none.

        Raises:
            ValueError: its file is gone.
        """
        line = self.lines.get(number)
        return self.cells.picture(Path(line["file"]).stem) if line and line["file"] else None

    def png(self) -> bytes:
        """The sheet.

        Raises:
            ValueError: so many cells would be too small to be seen.
        """
        under = {number: said for number, line in self.lines.items() if (said := caption(line))}
        out = io.BytesIO()
        sheet.draw(self.grid, self.picture, under, title(self.grid)).save(out, "PNG")
        return out.getvalue()

    _repr_png_ = png

    def write(self, folder: Path, asked: GridRequest, **about: Any) -> str:
        """Write grid.png, grid.csv and grid.json; returns why there is no sheet, or nothing.

        Args:
            about: what else the JSON says, such as the command.

        Raises:
            ValueError: the disk is full, or the folder cannot be written.
        """
        axes = [{"name": axis.name, "values": [*axis.labels]} for axis in self.grid.axes]
        record = {
            **about, "axes": axes, "request": asdict(asked.request), "notes": [*self.grid.notes], "versions": versions(),
            "count": len(self.grid.cells), "made": len(self.lines) - self.failed, "cells": self.rows,
        }  # fmt: skip
        with whole.telling("grid"):
            whole.write(folder / TABLE, csv_text(self.rows))
            whole.write(folder / RECORD, json.dumps(record, indent=1, ensure_ascii=False, default=str) + "\n")
            try:
                whole.write(folder / SHEET, self.png())
            except ValueError as error:
                return str(error)
        return ""

    def bytes_left(self, pixels: int) -> int:
        """About what the cells that are not there yet, and the sheet, take on the disk.

        Args:
            pixels: along the edge of a picture.
        """
        there = [*islice(self.cells.sizes(), SEEN)]
        each = sum(there) / len(there) if there else PER_PIXEL * pixels**2
        return round(each * (2 * len(self.grid.cells) - len(self.lines)))

    def seconds_left(self, paces: "Paces") -> float | None:
        """About what the cells that are not there yet take; None where their model made nothing yet."""
        times = [paces.of(cell.model, cell.method, cell.steps) for cell in self._left()]
        return None if None in times else math.fsum(times)

    def may_take_longer(self, paces: "Paces") -> bool:
        """Whether a method is among them that made nothing yet."""
        return any((cell.model, cell.method) not in paces.seen for cell in self._left())

    def _left(self) -> list[Request]:
        return [cell for number, cell in enumerate(self.grid.cells) if number not in self.lines]


@dataclass(slots=True)
class Paces:
    """Seconds that a step took, by model and method; a method that made nothing yet is taken for its model's slowest.

    Attributes:
        steps: of each model's pictures where none are asked for.
    """

    seen: dict[tuple[str, str], float] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    def learn(self, model: str, method: str, steps: int, seconds: float) -> None:
        """Take note of a picture: newer ones count for as much as all before them."""
        pace, known = seconds / steps, self.seen.get((model, method))
        self.seen[model, method] = pace if known is None else (pace + known) / 2

    def of(self, model: str, method: str, steps: int | None) -> float | None:
        """Seconds of a picture, or None."""
        slowest = max((pace for (name, _), pace in self.seen.items() if name == model), default=None)
        pace = self.seen.get((model, method), slowest)
        usual = steps or self.steps.get(model)
        return None if pace is None or usual is None else pace * usual


def caption(line: Line) -> str:
    """What stands under a cell: the checker's verdict and the total reward, or that there is no picture."""
    if line["failed"]:
        return "not made"
    verdict = {True: "✓ ", False: "✗ ", None: ""}[line["correct"]]
    reward = line.get("reward_total")
    return verdict.strip() if reward is None else f"{verdict}{reward:.2f}"


def title(grid: Grid) -> str:
    """What all cells have in common, as the sheet's first line."""
    first = grid.cells[0]
    said = {"prompt": f"“{first.prompt}”", "model": first.model, "method": first.method, "preset": first.preset}
    said |= {"seed": f"seed {first.seed}", "steps": f"{first.steps} step{'s' * (first.steps != 1)}"}
    said["guidance"] = f"guidance {first.guidance or 0:g}"
    values = {name: {getattr(cell, name) for cell in grid.cells} for name in said}
    shared = [text for name, text in said.items() if len(values[name]) == 1 and values[name].isdisjoint({None, ""})]
    settings = {*first.settings.items()}.intersection(*(cell.settings.items() for cell in grid.cells))
    return ", ".join([*shared, *(f"{name} {value}" for name, value in sorted(settings))])
