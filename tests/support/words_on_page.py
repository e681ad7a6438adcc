"""How many words a visitor meets on a running page: `python -m tests.support.words_on_page ADDRESS`, tab by tab."""

import re
import sys

from playwright.sync_api import Page, sync_playwright

from tests.support.serving import CHROMIUM, SOON

WORD = re.compile(r"[^\W\d_]{2,}")
SHOWN = "(part) => document.querySelector(part)?.innerText || ''"
DRAWN = {"Explore": "#headline", "Features": ".measures, #features-form[style*=none]", "About": "#machine .findings"}


def unfold(tab: Page, part: str) -> None:
    """Open all that is folded away in a part of the page."""
    tab.evaluate(
        "(part) => document.querySelectorAll(`${part} details`).forEach((each) => { each.open = true; })", part
    )
    for lid in tab.locator(f"{part} .label-wrap:not(.open):visible").all():
        lid.click()
    tab.wait_for_timeout(300)


def count(tab: Page) -> dict[str, int]:
    """Words by part: the header, the controls and each tab, with all that is folded away in them opened."""
    found = {}
    for part in ("#header", "#controls"):
        unfold(tab, part)
        found[part] = tab.evaluate(SHOWN, part)
    for name in tab.locator("#tabs button[role=tab]:visible").all_inner_texts():
        tab.get_by_role("tab", name=name, exact=True).first.click()
        tab.get_by_role("tab", name=name, exact=True, selected=True).wait_for()
        if name in DRAWN:
            tab.locator(DRAWN[name]).first.wait_for(state="attached")
        unfold(tab, "#stage")
        found[name] = tab.evaluate(SHOWN, "#stage [role=tabpanel]:not([style*=none])")
    return {part: len(WORD.findall(text)) for part, text in found.items()}


def main(address: str) -> None:
    """Count on a page that runs there."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        tab.set_default_timeout(SOON)
        tab.goto(address)
        tab.wait_for_selector("#running .empty, #facts .facts", state="attached")
        counted = count(tab)
        browser.close()
    counted["in all"] = sum(counted.values())
    sys.stdout.writelines(f"{number:6,} {part}\n" for part, number in counted.items())


if __name__ == "__main__":
    main(sys.argv[1])
