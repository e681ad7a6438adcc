"""What a base model takes that is not here: what is missing, the commands that get it, the GPU, the license."""

from collections.abc import Sequence
from html import escape

from maskunet.records import Setup
from maskunet.ui import opening_words
from maskunet.ui.html import copy_button


def panel(setups: Sequence[Setup], title: str) -> str:
    """A folded part for the model of that title, or for the first that lacks something; nothing where none does."""
    chosen = next((setup for setup in setups if setup.title == title), next(iter(setups), None))
    return _panel(chosen) if chosen else ""


def _panel(setup: Setup) -> str:
    commands = "".join(f"<li><code>{escape(line)}</code>{copy_button.button(line)}</li>" for line in setup.commands)
    size = opening_words.in_all(setup.gigabytes)
    return (
        f'<details class="setup"><summary>{escape(opening_words.use(setup.title))}</summary>'
        f"<p>{escape(opening_words.missing(setup.missing))} {size}</p><ol>{commands}</ol>"
        f"<p>{escape(setup.needs)} {escape(opening_words.license(setup.license))}</p></details>"
    )
