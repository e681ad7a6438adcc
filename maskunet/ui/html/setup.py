"""What a base model takes that is not here: what is missing, the commands that get it, the GPU, the license."""

from collections.abc import Sequence
from html import escape

from maskunet.records import Setup
from maskunet.ui import opening_words

SCRIPT = f"""
element.addEventListener('click', async (event) => {{
  const button = event.target.closest('button[data-copy]');
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = '{opening_words.COPIED}';
}});
"""


def panel(setups: Sequence[Setup]) -> str:
    """One folded part for each; nothing where nothing is missing."""
    return "".join(_panel(setup) for setup in setups)


def _panel(setup: Setup) -> str:
    commands = "".join(
        f"<li><code>{escape(line)}</code>"
        f'<button type="button" data-copy="{escape(line, quote=True)}">{opening_words.COPY}</button></li>'
        for line in setup.commands
    )
    size = opening_words.in_all(setup.gigabytes)
    return (
        f'<details class="setup"><summary>{escape(opening_words.use(setup.title))}</summary>'
        f"<p>{escape(opening_words.missing(setup.missing))} {size}</p><ol>{commands}</ol>"
        f"<p>{escape(setup.needs)} {escape(opening_words.license(setup.license))}</p></details>"
    )
