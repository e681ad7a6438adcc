"""A run's figures, drawn in a process of their own: it slows no page down, and ends when it takes too long."""

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from maskunet.records import Run
from maskunet.runs import figures
from maskunet.studio.process import Process, tell

LIMIT = 300.0  # seconds
TICK = 0.5  # seconds between looks at the clock
INSTEAD = "Download the run and draw it with: python -m maskunet figures RUN --out DIR"
LONG = f"Drawing took longer than {LIMIT / 60:g} minutes. {INSTEAD}"
DIED = f"Drawing ended before it was done, most likely for lack of memory. {INSTEAD}"


def serve(pipe: Connection, run: Run, out: Path) -> None:
    """Draw, and tell each line when its plot is there."""
    tell(pipe, ((line,) for line in figures.write(run, out)))


def write(run: Run, out: Path) -> Iterator[str]:
    """What `figures.write` does and yields, in a process of its own, and "" after every `TICK` without news.

    Raises:
        ValueError: it took longer than LIMIT, or failed.
    """
    process, began = Process(serve, run, out, died=DIED), time.monotonic()
    try:
        for told in process.told(TICK):
            if time.monotonic() - began > LIMIT:
                raise ValueError(LONG)
            yield told[0] if told else ""
    finally:
        process.close()
