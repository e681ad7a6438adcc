"""Work whose files can be had for longer than the queue remembers its job."""

import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from maskunet.studio.queue import ENDED, Job
from maskunet.studio.shelf import first_to_go

KEPT = 32  # of a kind

Work = TypeVar("Work")


class Works(Generic[Work]):
    """What is known of each job of a kind, by the job's id.

    Args:
        folder: has a folder of files for each, by the same id; they go together. Of earlier programs' it keeps the
            newest, since another program that runs may use the same folder.
        gone: what is told of one that is not here, or not any more.
    """

    def __init__(self, folder: Path, gone: str):
        self.folder, self._gone = folder, gone
        self._works: dict[str, tuple[Job, Work]] = {}
        self._one = threading.Lock()
        self._trim()

    def add(self, job: Job, work: Work) -> None:
        """Keep the work on a job, and let go of one that is over where there are too many, see `first_to_go`."""
        with self._one:
            self._works[job.id] = job, work
            self._trim()
            while len(self._works) > KEPT:
                jobs = [each for each, _ in self._works.values()]
                over = [each for each in jobs if each.phase in ENDED]
                if not over:
                    return
                old = first_to_go(jobs, over).id
                del self._works[old]
                shutil.rmtree(self.folder / old, ignore_errors=True)

    def _trim(self) -> None:
        """Remove the files of other programs but for the newest."""
        with suppress(OSError):  # another program may be doing the same
            others = [path for path in self.folder.glob("*") if path.is_dir() and path.name not in self._works]
            for old in sorted(others, key=lambda path: path.stat().st_mtime)[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)

    def job(self, job_id: str) -> Job | None:
        """The job, also one that the queue has forgotten."""
        job, _ = self._works.get(job_id, (None, None))
        return job

    def of(self, job_id: str) -> Work:
        """The work on a job.

        Raises:
            ValueError: there is none.
        """
        found = self._works.get(job_id)
        if found is None:
            raise ValueError(self._gone)
        return found[1]
