"""A page served to a real browser: what all tests of the page share."""

import shutil
from contextlib import contextmanager

import pytest

from maskunet.ui.server.launch import launch

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine; apt-get install chromium")
SOON = 60_000  # milliseconds; a slow machine under load


@contextmanager
def served(studio, shelf, **more):
    """The address of a page over a studio and its precomputed runs; both are closed afterwards.

    It is launched as `python app.py` does; `more` are further arguments of `launch`.
    """
    demo = launch(
        studio, host="127.0.0.1", port=None, runs=studio.shelf.folder, shelf=shelf, prevent_thread_lock=True,
        quiet=True, **more,
    )  # fmt: skip
    yield demo.local_url.rstrip("/")
    demo.close()
    studio.close()
