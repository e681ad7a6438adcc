"""A page served to a real browser: what all tests of the page share."""

import shutil
from contextlib import contextmanager

import pytest

from maskunet.ui import build as page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(
    not CHROMIUM, reason="no chromium on this machine; apt-get install chromium"
)
SOON = 60_000  # milliseconds; a slow machine under load


@contextmanager
def served(studio, shelf):
    """The address of a page over a studio and its precomputed runs; both are closed afterwards."""
    demo = page.build(studio, shelf)
    demo.queue(max_size=64, default_concurrency_limit=4, api_open=False)
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, theme=page.theme(), css_paths=[page.CSS], ssr_mode=False,
        run_history=False, enable_monitoring=False, show_error=False,
    )  # fmt: skip
    yield url.rstrip("/")
    demo.close()
    studio.close()
