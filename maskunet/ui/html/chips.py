"""Chips below the prompt: the precomputed runs, and the words that a small model knows."""

from collections.abc import Mapping, Sequence
from html import escape

from maskunet.records import Card, Run
from maskunet.ui import additions_words, opening_words, words

SCRIPT = """
element.addEventListener('click', (event) => {
  const chip = event.target.closest('button[data-word], button[data-run]');
  if (chip) trigger('select', {word: chip.dataset.word, run: chip.dataset.run});
});
"""
SHOWN = 3  # of the precomputed runs that are in sight; the others are folded away


def precomputed(shelf: Mapping[str, Run], titles: Mapping[str, str]) -> str:
    """One chip per model and prompt of the precomputed runs, for its first; clicking runs nothing.

    Where another model has drawn the prompt already, the chip names its own.
    """
    first: dict[tuple[str, str], str] = {}
    for run_id, run in shelf.items():
        first.setdefault((run.request.model, run.request.prompt), run_id)
    drawn, seen = [], set()
    for (model, prompt), run_id in first.items():
        said = f"{prompt} ({titles.get(model, model)})" if prompt in seen else prompt
        seen.add(prompt)
        drawn.append(f'<button type="button" data-run="{escape(run_id, quote=True)}">{escape(said)}</button>')
    if not drawn:
        return ""
    rest = "".join(drawn[SHOWN:])
    more = f"<details><summary>{opening_words.MORE_EXAMPLES}</summary><div>{rest}</div></details>" if rest else ""
    return f'<div class="vocabulary"><div>{"".join(drawn[:SHOWN])}</div>{more}</div>'


def vocabulary(card: Card) -> str:
    """The words a small model knows, as buttons; nothing for a large one."""
    if not card.vocabulary:
        return ""
    rows = "".join(
        f"<div><span>{escape(kind)}</span>"
        + "".join(f'<button type="button" data-word="{escape(w, quote=True)}">{escape(w)}</button>' for w in names)
        + "</div>"
        for kind, names in card.vocabulary.items()
    )
    return f'<details class="vocabulary"><summary>{words.VOCABULARY}</summary>{rows}</details>'


def tokens(found: Sequence[str]) -> str:
    """The words of embeddings, as buttons that write them into the prompt; nothing without any."""
    if not found:
        return ""
    buttons = "".join(f'<button type="button" data-word="{escape(w, quote=True)}">{escape(w)}</button>' for w in found)
    return f'<div class="vocabulary"><div><span>{additions_words.WRITE}</span>{buttons}</div></div>'
