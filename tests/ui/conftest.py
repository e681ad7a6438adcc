"""What the tests of the page share: one page for a file of them, and browsers that keep their complaints."""

from collections import defaultdict
from contextlib import suppress
from itertools import chain

import pytest

from maskunet.studio.studio import Studio
from tests.support.serving import SOON, complaints_of, served
from tests.support.visiting import forget


@pytest.fixture(scope="module")
def lab(library, tmp_path_factory):
    """The address of a running page, and its studio."""
    studio = Studio(tmp_path_factory.mktemp("runs"), library=library)
    with served(studio, {}) as url:
        yield url, studio


@pytest.fixture
def tab(chromium):
    """A new browser's page, that has not gone anywhere."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    tab.complaints = complaints_of(tab)
    tab.set_default_timeout(SOON)
    yield tab
    context.close()


@pytest.fixture(scope="module")
def idle():
    """Browsers kept for the next test, by their options; a new one would have to fetch the whole program again."""
    kept = defaultdict(list)
    yield kept
    for context in chain(*kept.values()):
        context.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Tell of a test that fails what stands on its pages."""
    from playwright.sync_api import Error

    report = yield
    if report.failed and call.when == "call" and "chromium" in item.funcargs:
        for tab in chain(*(context.pages for context in item.funcargs["chromium"].contexts)):
            with suppress(Error):  # it does not answer
                report.sections.append((tab.url, tab.inner_text("body", timeout=5000)))
    return report


@pytest.fixture
def visit(chromium, lab, idle):
    """Open the page in a browser of its own; what it asks for and complains about is kept."""
    used = []

    def open_page(query="", *, context=None, **options):
        if context is None:
            kind = repr(options)
            options = {"viewport": {"width": 1280, "height": 900}, **options}
            context = idle[kind].pop() if idle[kind] else chromium.new_context(**options)
            used.append((kind, context))
        tab = context.new_page()
        tab.set_default_timeout(SOON)
        tab.foreign, tab.complaints = [], complaints_of(tab)
        tab.on("request", lambda r: r.url.startswith((lab[0], "data:", "blob:")) or tab.foreign.append(r.url))
        tab.goto(lab[0] + "/" + query)
        tab.wait_for_selector("#generate")
        tab.wait_for_selector("#running .empty, #running .pair, #facts .facts")
        return tab

    yield open_page
    for kind, context in used:
        idle[kind].append(forget(context, lab[0]))
