"""What the tests of the page share: one page for a file of them, and browsers that keep their complaints."""

from collections import defaultdict
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
    """Keep whether a test failed, for what it leaves."""
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed
    return report


@pytest.fixture
def visit(chromium, lab, idle, request):
    """Open the page in a browser of its own; what it asks for and complains about is kept, and told of a test that fails."""
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
        for tab in context.pages if request.node.failed else ():
            print(tab.url, getattr(tab, "complaints", ""), tab.inner_text("body"), sep="\n", end="\n\n")
        idle[kind].append(forget(context, lab[0]))
