"""The run folders of one server, by id: the newest are kept, any can be read, downloaded or brought."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from maskunet.records import MaskSet, Run
from maskunet.records.disk import whole
from maskunet.runs import figures, run_folder
from maskunet.runs.draft import Draft
from maskunet.runs.recorder import Stopped

MAX_RUNS = 200  # run folders kept on the disk; the oldest go first
RUN_ID = re.compile("[0-9a-f]{12}")


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

    Args:
        folder: of the run folders, of this server alone; made when the first run is kept. What a killed
            server left in it is put right.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
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

    def keep(self, run: Run) -> None:
        """Save a run and make room on the disk."""
        run_folder.write(run, self.folder / run.id)
        self._make_room()

    def _make_room(self) -> None:
        saved = [p for p in self.folder.iterdir() if RUN_ID.fullmatch(p.name)]
        for old in sorted(saved, key=lambda p: p.stat().st_mtime)[:-MAX_RUNS]:
            with suppress(OSError):  # another attempt follows with the next run
                whole.remove(old)

    def read(self, run_id: str) -> Run:
        """A run, without its masks."""
        if not (self.folder / checked(run_id)).is_dir():
            raise ValueError(f"This run is not here any more: the newest {MAX_RUNS} are kept.")
        return run_folder.read(self.folder / run_id)

    def masks(self, run_id: str) -> MaskSet | None:
        """The masks it kept, or None."""
        return run_folder.masks(self.folder / checked(run_id))

    def numbers(self, run_id: str) -> Path:
        """Its steps.csv: one row per update."""
        return self.folder / checked(run_id) / run_folder.STEPS

    def zip(self, run_id: str) -> Path:
        """One zip of its files."""
        return run_folder.run_zip(self.folder / checked(run_id))

    def take(self, archive: Path) -> str:
        """Keep a run that was downloaded as a zip, here or elsewhere, and return its id."""
        self.folder.mkdir(parents=True, exist_ok=True)
        run_id = run_folder.unzip(archive, self.folder).id
        self._make_room()
        return run_id

    def figures(self, run: Run) -> Path:
        """One zip of every plot of a run, which may be none of these, and the numbers behind each."""
        return figures.archive(run, self.folder / ".figures")
