"""The studio's part for grids: their cells are made in turns between others' pictures, and kept for the next grid."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from maskunet.library.library import Library
from maskunet.methods import method_of
from maskunet.methods.base import MethodSpec
from maskunet.records import Request
from maskunet.records.grid import GridPlan, GridRequest
from maskunet.runs.grid import made
from maskunet.runs.grid.axes import Grid, grid
from maskunet.runs.grid.cells import CellFolder
from maskunet.runs.grid.made import MadeGrid, Paces
from maskunet.runs.grid.make import make
from maskunet.studio.queue import AGAIN, Job, Queue
from maskunet.studio.works import Works

CELLS = 100  # of a visitor's grid
TURN = 10.0  # seconds of work after which others' pictures come first, if any wait
USUAL = 128  # pixels along the edge of a picture, for the disk's estimate where none is there yet
ROOM = 256 * 2**20  # bytes of cells on the disk
GONE = "This grid is not here any more. Make it again: its pictures come from the disk."


class GridStudio:
    """Plans grids, makes them through the studio's queue, and has their files.

    Args:
        queue: of the studio. limit: seconds of work on one grid; what is made by then is kept.
        paces: how long a step takes, which the studio's other pictures teach too.
        folder: of the runs; cells lie in a hidden folder of it.

    Attributes:
        works: the grids whose cells can be opened.
    """

    def __init__(
        self,
        library: Library,
        methods: Mapping[str, MethodSpec],
        queue: Queue,
        folder: Path,
        *,
        paces: Paces,
        limit: float = 900,
    ):
        self._library, self._methods, self._queue, self._limit = library, methods, queue, limit
        self._cells, self._paces = CellFolder(folder / ".cells"), paces
        self.works: Works[_Work] = Works(folder / ".grids", GONE)
        self._one = threading.Lock()  # draws one sheet at a time, which takes memory

    def plan(self, asked: GridRequest) -> GridPlan:
        """What a grid will be, before anything is made.

        Raises:
            ValueError: an axis or a value that is not allowed, more than 100 cells, or a model or rewards that are not
                here; says which.
        """
        return self._plan(MadeGrid(self._planned(asked), self._cells))

    def plan_of(self, job: str) -> GridPlan:
        """What a grid is, and what is left to do.

        Raises:
            ValueError: no such grid.
        """
        return self._plan(self.works.of(job).made)

    def _plan(self, begun: MadeGrid) -> GridPlan:
        return GridPlan(
            names=tuple(axis.name for axis in begun.grid.axes),
            labels=tuple(axis.labels for axis in begun.grid.axes),
            count=len(begun.grid.cells),
            seconds=begun.seconds_left(self._paces),
            least=begun.may_take_longer(self._paces),
            bytes=begun.bytes_left(USUAL),
            notes=begun.grid.notes,
        )

    def start(self, asked: GridRequest, owner: str = "", address: str = "") -> str:
        """Queue a grid and return its job's id; its events' rows are the lines of the cells so far.

        Others' pictures come first after every 10 seconds of it.

        Raises:
            ValueError: as `plan` and as `Studio.start`.
        """
        planned = self._planned(asked)
        work = _Work(asked, MadeGrid(planned, self._cells, lambda name: self._library.spec(name).judge), self)
        usual = work.made.seconds_left(self._paces)
        job = Job(request=planned.cells[0], kind="grid", work=work.turn, owner=owner, address=address, usual=usual)
        job_id = self._queue.submit(job)
        self.works.add(job, work)
        return job_id

    def request(self, job: str, number: int) -> Request:
        """What makes a cell's picture, for a run of its own.

        Raises:
            ValueError: no such grid or cell.
        """
        cells = self.works.of(job).made.grid.cells
        if not 0 <= number < len(cells):
            raise ValueError(GONE)
        return cells[number]

    def picture(self, job: str, number: int) -> np.ndarray | None:
        """(H, W, 3) uint8 of a cell; None where there is none yet.

        Raises:
            ValueError: no such grid, or its picture is gone.
        """
        return self.works.of(job).made.picture(number)

    def files(self, job: str) -> tuple[Path | None, Path, Path]:
        """The sheet, None where it would be too large, the table, and the record of what is made so far.

        Raises:
            ValueError: no such grid, or the disk is full.
        """
        work, folder = self.works.of(job), self.works.folder / job
        with self._one:
            work.made.write(folder, work.asked)
        sheet, *others = (folder / name for name in (made.SHEET, made.TABLE, made.RECORD))
        return (sheet if sheet.is_file() else None, *others)

    def _planned(self, asked: GridRequest) -> Grid:
        planned = grid(asked, self._methods, most=CELLS)
        self._library.find_added(asked.request.added)
        for model, method in {(cell.model, cell.method) for cell in planned.cells}:
            self._library.find(model, method_of(method, self._methods).needs_rewards)
            self._paces.steps[model] = self._library.spec(model).steps
        return planned


class _Work:
    """The work on one grid, turn by turn."""

    def __init__(self, asked: GridRequest, begun: MadeGrid, studio: GridStudio):
        self.asked, self.made, self._studio = asked, begun, studio
        self._spent = 0.0  # seconds of all turns before this one

    def turn(self, job: Job) -> tuple[str, dict[str, Any]]:
        """Make cells until all are there, or others should have a turn."""
        studio, began = self._studio, time.monotonic()
        job.worked = job.worked or began
        late = studio._limit - self._spent

        def why() -> str:
            over = time.monotonic() - began > late
            return job.reason or over * f"Stopped at the limit of {studio._limit:g} seconds; what is made is kept."

        if not studio._library.is_loaded(job.request.model, job.request.added):
            studio._queue.publish(job, "loading")
        cells = make(self.made.grid, self.made.cells, self._load, methods=studio._methods, should_stop=why)
        try:
            for numbers, cell in cells:
                if numbers[0] not in self.made.lines:
                    self._take(job, numbers, cell)
                if time.monotonic() - began > TURN and studio._queue.counts()[1] and self._is_not_whole():
                    return AGAIN, {}
        finally:
            cells.close()
            self._spent += time.monotonic() - began
            keys = {Path(line["file"]).stem for line in self.made.lines.values()}
            with suppress(OSError):
                self.made.cells.trim(ROOM, keys)
        if self._is_not_whole():
            return "stopped", {"message": why()}
        return "done", {}

    def _is_not_whole(self) -> bool:
        return len(self.made.lines) < len(self.made.grid.cells)

    def _take(self, job: Job, numbers: list[int], cell: Any) -> None:
        """Take note of a picture, and tell whoever follows."""
        self.made.take(numbers, cell)
        self.made.cells.used(cell.key)
        paces, asked = self._studio._paces, self.made.grid.cells[numbers[0]]
        if not cell.failed:
            paces.learn(asked.model, asked.method, asked.steps or paces.steps[asked.model], cell.seconds)
        left = self.made.seconds_left(paces)
        usual = None if left is None else time.monotonic() - job.worked + left
        self._studio._queue.publish(job, "grid", rows=self.made.rows, usual=usual)

    def _load(self, name: str) -> tuple[Any, Any]:
        loaded = self._studio._library.load(name, added=self.asked.request.added)
        return loaded.model, loaded.rewards
