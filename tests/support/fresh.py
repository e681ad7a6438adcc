"""Processes of their own that need not import everything anew: forks of one that has."""

import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORKS = "forkserver" in multiprocessing.get_all_start_methods()  # not on Windows
FRESH = multiprocessing.get_context("forkserver" if FORKS else "spawn")
if FORKS:
    FRESH.set_forkserver_preload(["tests.support.preloaded"])


def started(
    words: Sequence[str | Path],
    folder: Path = ROOT,
    *,
    said: Path = Path(os.devnull),
    site: Path = ROOT,
    **variables: str,
) -> BaseProcess:
    """A program of ours, begun as `python WORDS…` begins it, with a terminal's signals and a session of its own.

    Args:
        words: `-m`, a module and its arguments; or a file and its arguments.
        folder: where it is started. said: the file that takes all it says. site: the folder that has our packages.
        variables: of its environment.
    """
    process = FRESH.Process(target=_begin, args=([*map(str, words)], folder, said, site, variables))
    process.start()
    return process


def _begin(words: list[str], folder: Path, said: Path, site: Path, variables: dict[str, str]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(variables)
    with said.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if site != ROOT:
        forget()
        sys.path[:] = [str(site), *(place for place in sys.path if place not in ("", str(ROOT)))]
    os.chdir(folder)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def forget() -> None:
    """What is imported next of the project is read from the disk; the libraries of others stay loaded."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("maskunet", "visualize")]:
        del sys.modules[name]
