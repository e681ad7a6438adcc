"""What the tests of single tabs share: one page for a file of them, and a browser that keeps its complaints."""

import pytest

from maskunet.studio.studio import Studio
from tests.support.serving import SOON, complaints_of, served


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
