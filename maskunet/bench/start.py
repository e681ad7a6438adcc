"""How long `python app.py` takes until its page answers, beside importing torch and gradio alone, which any such app must."""

import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from statistics import median
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import numpy as np

from maskunet.bench.base import BenchSpec
from maskunet.evaluation.intervals import bootstrap
from maskunet.library.library import Library

log = logging.getLogger(__name__)

IMPORTS = ("-c", "import gradio, torch")
PATIENCE = 300  # seconds for the page to come


def until_imported() -> float:
    """Seconds of a new process that only imports."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *IMPORTS], check=True)
    return time.perf_counter() - began


def until_page() -> float:
    """Seconds from a new process to the answer of its page.

    Raises:
        RuntimeError: no page came; says what the process said instead.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        port = _free_port()
        command = [sys.executable, "-m", "maskunet.app", "--model=tabletop", "--device=cpu", f"--port={port}"]
        began = time.perf_counter()
        process = subprocess.Popen([*command, f"--runs={folder}"], stdout=said, stderr=subprocess.STDOUT)
        try:
            if not _answers(f"http://127.0.0.1:{port}/config", process):
                said.seek(0)
                raise RuntimeError(f"No page came:\n{said.read().decode(errors='replace')}")
            return time.perf_counter() - began
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def _answers(url: str, process: subprocess.Popen) -> bool:
    deadline, opener = time.monotonic() + PATIENCE, build_opener(ProxyHandler({}))
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return bool(opener.open(url, timeout=PATIENCE).read())
        except URLError:  # it does not listen yet
            time.sleep(0.05)
    return False


def compared(pages: Sequence[float], imports: Sequence[float]) -> dict[str, Any]:
    """How often the imports' time the page takes: medians, and the 95 % bootstrap interval of the ratios' median."""
    ratios = [page / imported for page, imported in zip(pages, imports, strict=True)]
    low, high = bootstrap(ratios, of=np.median)
    return {
        "n": len(ratios),
        "page_seconds": median(pages),
        "import_seconds": median(imports),
        "times_the_imports": median(ratios),
        "low": low,
        "high": high,
    }


def run(library: Library, size: str, rounds: int) -> dict[str, Any]:
    """Start both in turn; the first round warms the disk's cache up."""
    taken = []
    for number in range(rounds + 1):
        taken += [(until_page(), until_imported())]
        log.info("round %d: page %.1f s, imports %.1f s", number, *taken[-1])
    pages, imports = zip(*taken[1:], strict=True)
    return compared(pages, imports)


SPEC = BenchSpec(
    name="start",
    summary="the page from its start to its first answer, beside importing torch and gradio alone",
    sizes=("tabletop",),
    run=run,
)
