"""The best so far of a run that is being made, on the disk in case the program is killed."""

import logging
import time
from dataclasses import replace
from pathlib import Path

from maskunet.runs import run_folder
from maskunet.runs.recorder import Recorder

logger = logging.getLogger(__name__)

STATE = "interrupted"
NOTE = "Interrupted before it was finished; this is the best so far."
SHARE = 0.02  # of the time that may go into drafts


class Draft:
    """Keeps the folder of a run that is being made at its best so far, as a run that was interrupted.

    There is nothing to convert after a crash: the folder is what was left, and the finished run takes its
    place. A finished run that is there already stays until then.
    """

    def __init__(self, folder: Path):
        self._folder, self._next = folder, 0.0
        self._spared = _holds_finished(folder)

    def offer(self, record: Recorder) -> None:
        """Write what happened so far, without step pictures and masks, unless that was done a moment ago."""
        began = time.monotonic()
        if self._spared or record.best is None or began < self._next:
            return
        run = replace(record.run(), state=STATE, note=NOTE, course=None, stats=None, masks=None)
        try:
            run_folder.write(run, self._folder)
        except ValueError as error:  # the work can go on; the finished run may still find a place
            logger.warning("The best so far was not kept: %s", error)
        now = time.monotonic()
        self._next = now + (now - began) / SHARE


def _holds_finished(folder: Path) -> bool:
    try:
        return run_folder.read(folder).state != STATE
    except ValueError:
        return False
