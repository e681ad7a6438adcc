"""A page served to a real browser: what all tests of the page share."""

import shutil
from contextlib import contextmanager

import pytest

from maskunet.ui.server.launch import launch

# Chromium's own build without windows comes first: a page costs it less than half.
NAMES = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_browser = pytest.mark.skipif(not CHROMIUM, reason=f"none of {', '.join(NAMES)} on this machine")
SOON = 300_000  # milliseconds; a slow machine under load


def complaints_of(tab):
    """The errors in the console of a browser's page, as they come."""
    complaints = []
    tab.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    return complaints


def reload(tab):
    """Load the page again. What it complains of while it is left does not count: Gradio cuts its open streams, and says so."""
    before = len(tab.complaints)
    tab.reload(wait_until="commit")
    del tab.complaints[before:]
    tab.wait_for_load_state()


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
