"""Behind a reverse proxy: the page works where the lab was told of it, and says what is wrong where it was not."""

import pytest

from maskunet.studio.studio import Studio
from tests.support.proxy import proxied
from tests.support.serving import SOON, needs_browser, served
from tests.support.visiting import expect

pytestmark = needs_browser


@pytest.fixture(scope="module")
def told(library, tmp_path_factory):
    """A lab that knows its proxy and the path."""
    with served(
        Studio(tmp_path_factory.mktemp("told"), library=library), {}, proxies=["127.0.0.1"], root_path="/lab"
    ) as url:
        yield url


@pytest.fixture(scope="module")
def untold(library, tmp_path_factory):
    """One that knows of none."""
    with served(Studio(tmp_path_factory.mktemp("untold"), library=library), {}) as url:
        yield url


@pytest.fixture
def tab(chromium):
    context = chromium.new_context()
    tab = context.new_page()
    tab.set_default_timeout(SOON)
    yield tab
    context.close()


@pytest.mark.parametrize(
    ("host", "path", "tells_host", "cure"),
    [
        (
            "lab.example",
            "",
            False,
            "Start the lab with --proxy ADDRESS of the proxy, which must send X-Forwarded-Host;",
        ),
        ("lab.example", "", True, "Start the lab with --proxy ADDRESS of the proxy"),
        ("lab.example", "/a/lab", True, "Start the lab with --root-path /a/lab and --proxy ADDRESS of the proxy"),
        ("127.0.0.1", "/lab", False, "Start the lab with --root-path /lab; see docs/proxies.md."),
    ],
)
def test_a_page_that_cannot_work_says_why(untold, tab, host, path, tells_host, cure):
    with proxied(untold, path, tells_host=tells_host) as port:
        tab.goto(f"http://{host}:{port}{path}/")
        said = tab.get_by_role("alert").filter(has_text="This page cannot work").inner_text()
        assert f"it is at http://{host}:{port}{path}, and" in said and cure in said


@pytest.mark.parametrize("slash", ["/", ""])
def test_a_page_that_the_lab_was_told_of_works_and_says_nothing(told, tab, slash):
    with proxied(told, "/lab", tells_host=True) as port:
        with tab.expect_response("**/gradio_api/reset") as asked:
            tab.goto(f"http://lab.example:{port}/lab{slash}?method=plain&prompt=a+cat")
        assert asked.value.ok
        tab.wait_for_function("document.querySelector('#prompt textarea')?.value === 'a cat'")
        tab.locator("#generate").click()
        tab.wait_for_selector("#facts .facts", state="visible")
        tab.wait_for_function("document.querySelector('#status').innerText.includes('Done')")  # the last to be drawn
        tab.get_by_label("Slider").check()
        tab.wait_for_function(
            "[...document.querySelectorAll('#slider img')].filter((i) => i.naturalWidth).length === 2"
        )
        expect(tab.locator("#astray")).to_have_count(0)


def test_a_page_without_a_proxy_says_nothing(untold, tab):
    with tab.expect_response("**/gradio_api/reset") as asked:
        tab.goto(untold)
    assert asked.value.ok
    tab.wait_for_selector("#generate")
    expect(tab.locator("#astray")).to_have_count(0)
