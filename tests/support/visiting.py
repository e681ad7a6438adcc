"""What a visitor does on the page, step by step."""

from tests.support.serving import SOON


def expect(locator):
    """What is to hold of a part of the page now or soon: the parts that one answer changes are not drawn at one moment."""
    from playwright.sync_api import expect

    expect.set_options(timeout=SOON)
    return expect(locator)


def forget(context, url):
    """A browser that has closed its pages and remembers nothing but files of the program."""
    for tab in context.pages:
        tab.close()
    context.clear_cookies()
    tab = context.new_page()
    tab.goto(url + "/theme.css")
    tab.evaluate("localStorage.clear()")
    tab.close()
    return context


def unfold(tab):
    """On a phone the settings are folded away."""
    button = tab.locator("#fold-settings [aria-expanded=false]")
    if button.is_visible():
        button.click()


def fill(tab, prompt="a red cube", method=None):
    tab.locator("#prompt textarea").fill(prompt)
    if method:
        unfold(tab)
        tab.get_by_label("Method").click()
        tab.get_by_role("option", name=method, exact=True).click()


def take_steps(tab, steps):
    """A run of so many; of many, where something is to happen to it while it goes on."""
    tab.get_by_text("More settings").click()
    tab.locator("#steps input").fill(str(steps))


def generate(tab):
    tab.locator("#generate").click()
    tab.wait_for_selector("#facts .facts", state="visible")


def copied(button):
    """What a button that copies says when it is clicked, which it does for two seconds, and what is on the clipboard."""
    return button.evaluate("""async (button) => {
      const said = new Promise((done) => new MutationObserver(() => done(button.textContent))
        .observe(button, { childList: true }));
      button.click();
      return [await said, await navigator.clipboard.readText()];
    }""")
