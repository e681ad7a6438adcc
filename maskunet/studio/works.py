"""Work whose files can be had for longer than the queue remembers its job."""

import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Generic, TypeVar

from maskunet.studio.queue import Job

KEPT = 32  # of a kind

Work = TypeVar("Work")


class Works(Generic[Work]):
    """What is known of each job of a kind, by the job's id.

    Args:
        folder: has a folder of files for each, by the same id; they go together.
        gone: what is told of one that is not here, or not any more.
    """

    def __init__(self, folder: Path, gone: str):
        self.folder, self._gone = folder, gone
        self._works: OrderedDict[str, tuple[Job, Work]] = OrderedDict()

    def add(self, job: Job, work: Work) -> None:
        """Keep the work on a job, and let go of one where there are too many."""
        self._works[job.id] = job, work
        while len(self._works) > KEPT:
            old, _ = self._works.popitem(last=False)
            shutil.rmtree(self.folder / old, ignore_errors=True)

    def job(self, job_id: str) -> Job | None:
        """The job, also one that the queue has forgotten."""
        job, _ = self._works.get(job_id, (None, None))
        return job

    def of(self, job_id: str) -> Work:
        """The work on a job.

        Raises:
            ValueError: there is none.
        """
        if job_id not in self._works:
            raise ValueError(self._gone)
        return self._works[job_id][1]
