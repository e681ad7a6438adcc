"""Ctrl+C as a wish to stop after the current piece of work."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interruptible() -> Iterator[Callable[[], str]]:
    """Ctrl+C is noted, so that the work can end in good order; a second one ends it at once.

    Gives a function that returns why to stop, or an empty text. For the main thread only.
    """
    pressed = []

    def on_interrupt(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append("Stopped on request.")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: pressed[0] if pressed else ""
    finally:
        signal.signal(signal.SIGINT, before)
