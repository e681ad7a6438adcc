"""The run folders of one server, by id: any can be read, downloaded or brought; of many, some must go."""

import json
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from maskunet.records import FiguresEvent, MaskSet, Run
from maskunet.records.disk import whole
from maskunet.runs import animation, figures, run_folder
from maskunet.runs.draft import Draft
from maskunet.runs.recorder import Stopped
from maskunet.studio import figures_process
from maskunet.studio.queue import ENDED, Job, Queue

MAX_RUNS = 200  # run folders that were made here
MAX_UPLOADS = 50  # run folders that were brought
MAX_BROUGHT = 2**30  # bytes of them together; zeros pack 600 to 1, so that the uploads say little
WAITING, TICK = 8, 0.5  # drawings of figures beside the one that is drawn; seconds between looks at their order
RUN_ID = re.compile("[0-9a-f]{12}")
FIGURES, SHARED = ".figures", ".shared"  # folders for what was drawn of runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A run on the shelf: whose it is, and whether it was brought rather than made here."""

    id: str
    owner: str = ""
    address: str = ""
    brought: bool = False


def checked(run_id: str) -> str:
    """The id itself.

    Raises:
        ValueError: it is none, so it must not meet the disk.
    """
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise ValueError("A run's id is 12 hexadecimal digits.")
    return run_id


class Shelf:
    """Every method raises ValueError, one sentence, for a malformed id or a run that is not here.

    Which runs are new is known by the order in which they came, not by a clock. It lies in a list beside the
    folder, from where nothing is served. One that the list does not have, as of an earlier version, counts as
    older than all it has. What takes memory, to read a run or to check one that is brought, is done one at a time,
    and so are drawings, in processes of their own beside that, in the fair order of `Queue`.

    Args:
        folder: of the run folders, of this server alone; made when the first run is kept. What a killed
            server left in it is put right.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self._list = self.folder.with_name(f".{self.folder.name}.json")
        self._one = threading.RLock()
        self._drawings = Queue(WAITING)
        self.tidy()
        self._kept = self._listed()

    def tidy(self) -> None:
        """Put right what is half written in the folder, where nothing is being written any more."""
        with suppress(OSError):  # of a folder that may only be read; what is written later is told
            whole.tidy(self.folder)

    def draft(self, run_id: str) -> Draft:
        """Keeps the best so far of a run until the run itself is kept."""
        return Draft(self.folder / checked(run_id))

    def cut_short(self, run_id: str, why: str) -> Run:
        """What the draft of a run holds, as a run that was stopped.

        Raises:
            Stopped: it holds nothing yet.
        """
        try:
            return replace(self.read(run_id), state="stopped", note=why)
        except ValueError as error:
            raise Stopped(why) from error

    def keep(self, run: Run, owner: str = "", address: str = "") -> None:
        """Save a run and make room on the disk.

        Args:
            owner, address: who asked for it and where from, see `first_to_go`.
        """
        run_folder.write(run, self.folder / run.id)
        with self._one:
            self._kept = [*self._strays(run.id), *self._kept]  # such as what a failed run left
            self._add(Kept(id=run.id, owner=owner, address=address))

    def read(self, run_id: str) -> Run:
        """A run, without its masks."""
        if not (self.folder / checked(run_id)).is_dir():
            raise ValueError(f"This run is not here any more: {MAX_RUNS} are kept.")
        with self._one:
            return run_folder.read(self.folder / run_id)

    def masks(self, run_id: str) -> MaskSet | None:
        """The masks it kept, or None."""
        with self._one:
            return run_folder.masks(self.folder / checked(run_id))

    def numbers(self, run_id: str) -> Path:
        """Its steps.csv: one row per update."""
        return self.folder / checked(run_id) / run_folder.STEPS

    def zip(self, run_id: str) -> Path:
        """One zip of its files."""
        return run_folder.run_zip(self.folder / checked(run_id))

    def take(self, archive: Path, owner: str = "", address: str = "") -> str:
        """Keep a run that was downloaded as a zip, here or elsewhere, and return its id.

        It takes the place of other runs that were brought, never of one made here. One that says it is a run that is
        here, and is not, gets an id of its own.

        Args:
            owner, address: who brings it and where from, see `first_to_go`.
        """
        with self._one:
            with whole.telling("run"):
                self.folder.mkdir(parents=True, exist_ok=True)
            before = {path.name for path in self._folders()}
            run_id = run_folder.unzip(archive, self.folder).id
            if run_id not in before:
                self._add(Kept(id=run_id, owner=owner, address=address, brought=True))
            return run_id

    def figures(
        self, run_id: str, read: Callable[[], Run], owner: str = "", address: str = ""
    ) -> Iterator[FiguresEvent]:
        """Draw every plot of a run, which may be none of these, and the numbers behind each, into one zip.

        Without news an event comes twice a second, for the clock. Closing the iterator ends the work at once; after
        `stop_figures` it ends by itself.

        Args:
            read: gives the run when its turn comes; those who wait hold nothing.
            owner, address: who asks, for one drawing at a time, and where from.

        Raises:
            ValueError: too many wait, this owner does already, or it takes too long.
        """
        if (made := figures.zip_of(checked(run_id), self.folder / FIGURES)).is_file():
            yield FiguresEvent(phase="done", file=made)
            return
        job = Job(request=run_id, kind="drawing", owner=owner, address=address)
        self._drawings.submit(job)
        try:
            while not self._drawings.begins(job, TICK):
                if job.phase in ENDED:
                    yield FiguresEvent(phase="stopped")
                    return
                yield FiguresEvent(phase="waiting", seconds=time.monotonic() - job.asked)
            yield from self._drawn(job, read())
        finally:
            self._drawings.stop(job, "Over.")  # where it still waits
            self._drawings.publish(job, "done")

    def _drawn(self, job: Job, run: Run) -> Iterator[FiguresEvent]:
        done, total = 0, len(figures.plots())
        with closing(figures.archive(run, self.folder / FIGURES, figures_process.write)) as lines:
            for line in lines:
                if job.reason:
                    yield FiguresEvent(phase="stopped")
                    return
                done = min(done + bool(line), total)  # the animations come after the plots
                yield FiguresEvent(phase="drawing", done=done, total=total, seconds=time.monotonic() - job.asked)
        yield FiguresEvent(phase="done", file=figures.zip_of(run.id, self.folder / FIGURES), request=run.request)

    def stop_figures(self, owner: str) -> None:
        """End the drawing of this owner within half a second."""
        for job in self._drawings.of(owner):
            self._drawings.stop(job, "Stopped on request.")

    def share(self, run: Run) -> list[Path]:
        """A run to show around, which may be none of these: its steps as an animation, its pictures with a caption."""
        with self._one:
            return animation.shared(run, self.folder / SHARED)

    def _folders(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if RUN_ID.fullmatch(path.name)]

    def _strays(self, *but: str) -> list[Kept]:
        """Run folders that are not listed, those changed longest ago first."""
        known = {kept.id for kept in self._kept} | {*but}
        strays = [path for path in self._folders() if path.name not in known]
        return [Kept(id=path.name) for path in sorted(strays, key=lambda path: path.stat().st_mtime)]

    def _listed(self) -> list[Kept]:
        """What the list of an earlier program says, the oldest first; nothing if there is none or it is damaged."""
        try:
            return [Kept(**one) for one in json.loads(self._list.read_text("utf-8"))]
        except (OSError, ValueError, TypeError):
            return []

    def _add(self, new: Kept) -> None:
        """Put a run at the list's end, and let go of those that are too many of its kind."""
        there = {path.name for path in self._folders()}
        self._kept = [one for one in self._kept if one.id in there and one.id != new.id] + [new]
        alike = [one for one in self._kept if one.brought == new.brought]
        while self._are_too_many(alike):
            old = first_to_go(alike)
            alike.remove(old)
            with suppress(OSError):  # another attempt follows with the next run
                self._remove(old.id)
                self._kept.remove(old)
        with suppress(OSError):  # then a later program goes by the folders' times
            whole.write(self._list, json.dumps([asdict(one) for one in self._kept]))

    def _are_too_many(self, alike: Sequence[Kept]) -> bool:
        """Whether one must go: of many, or of several that were brought and are large."""
        if not alike[-1].brought:
            return len(alike) > MAX_RUNS
        return len(alike) > MAX_UPLOADS or (len(alike) > 1 and sum(map(self._size, alike)) > MAX_BROUGHT)

    def _size(self, kept: Kept) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in (self.folder / kept.id).glob("*"))

    def _remove(self, run_id: str) -> None:
        """Delete a run, and what was drawn of it: another may come under its id."""
        whole.remove(self.folder / run_id)
        figures.zip_of(run_id, self.folder / FIGURES).unlink(missing_ok=True)
        shutil.rmtree(animation.folder_of(run_id, self.folder / SHARED), ignore_errors=True)


class Owned(Protocol):
    """What somebody asked for: in whose browser, and where from."""

    @property
    def owner(self) -> str: ...
    @property
    def address(self) -> str: ...


Of = TypeVar("Of", bound=Owned)


def first_to_go(kept: Sequence[Of], free: Sequence[Of] | None = None) -> Of:
    """The oldest of whoever has most: of the address with most of them, there of the owner with most.

    Owners cost nothing to make up in a browser, and addresses do, so a flood from one address pushes out its own.
    The newest of several is never the one: it is last in its group, and alone in it only where every group has one.

    Args:
        kept: the oldest first.
        free: those of them that may go, in the same order, at least one; None for all.
    """
    addresses = Counter(one.address for one in kept)
    owners = Counter((one.address, one.owner) for one in kept)
    return max(kept if free is None else free, key=lambda one: (addresses[one.address], owners[one.address, one.owner]))
