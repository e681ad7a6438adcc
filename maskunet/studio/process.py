"""Work in a process of its own, which tells what it does; and the one that listens to it.

A process can be ended in the middle of anything, which nothing else can; it slows no other visitor's page
down, and what goes wrong in it stays in it.
"""

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from maskunet import machine

CONTEXT = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks, and CUDA forbids it


class Died(ValueError):
    """The process ended without a word, most likely for lack of memory."""


class Process:
    """A process that has been started, and what it tells.

    Args:
        serve: a module's function; called there with its end of the pipe and `arguments`, it should `tell`.
        died: the sentence to give where it cannot give its own.
    """

    def __init__(self, serve: Callable[..., None], *arguments: Any, died: str):
        self._died = died
        self._pipe, theirs = CONTEXT.Pipe()
        packed = pickle.dumps((serve, arguments))
        self._process = CONTEXT.Process(target=_begin, args=(theirs, packed), daemon=True)
        self._process.start()
        theirs.close()

    def told(self, tick: float | None = None) -> Iterator[Any]:
        """What it tells, as it comes, and None after every `tick` seconds without news.

        Raises:
            Died: it ended without a word. ValueError: it failed; its own sentence.
        """
        while True:
            try:
                said = self._pipe.recv() if self._pipe.poll(tick) else None
            except (EOFError, OSError) as error:
                raise Died(self._died) from error
            if isinstance(said, str):
                if said:
                    raise ValueError(said)
                return
            yield said

    def stop(self) -> None:
        """Ask for an end in good order; `serve` sees it as something that came up the pipe."""
        with suppress(OSError):  # it ended a moment ago
            self._pipe.send("stop")

    def kill(self) -> None:
        """End it at once; whoever listens is told that it died."""
        self._process.kill()

    def close(self) -> None:
        """End it at once, if it has not ended, and forget it; for whoever listens."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def kill_all() -> None:
    """End every process that this program started and has not closed."""
    for process in multiprocessing.active_children():
        process.kill()


def _begin(pipe: Connection, packed: bytes) -> None:
    """The process's first steps: nothing that reads the environment may be loaded before it is prepared."""
    machine.prepare()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program that started this process ends it
    serve, arguments = pickle.loads(packed)
    serve(pipe, *arguments)


def tell(pipe: Connection, events: Iterable[Any]) -> None:
    """Send every event, none of them a text, and at last the sentence on why it failed, or an empty one."""
    with suppress(BrokenPipeError):  # nobody listens any more
        try:
            for event in events:
                pipe.send(event)
            pipe.send("")
        except BrokenPipeError:
            raise
        except Exception as error:
            from maskunet.failures import sentence

            pipe.send(sentence(error))
