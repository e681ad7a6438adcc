"""A page served to a real browser: what all tests of the page share."""

import shutil
from contextlib import contextmanager

import pytest

from maskunet.ui.server.launch import launch

# Chromium's own build without windows comes first: a page costs it less than half.
NAMES = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_browser = pytest.mark.skipif(not CHROMIUM, reason=f"none of {', '.join(NAMES)} on this machine")
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
