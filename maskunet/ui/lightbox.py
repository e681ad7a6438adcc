"""Any thumbnail large: one dialog for the whole page; `html.pictures.ZOOM` makes a picture a thumbnail."""

from pathlib import Path

import gradio as gr

from maskunet.ui import words

SCRIPT = Path(__file__).with_name("lightbox.js")


def build() -> gr.HTML:
    """Draw the dialog, which is closed."""
    dialog = (
        f'<dialog id="lightbox" aria-label="{words.PICTURE}"><div class="shown"></div><div class="under-it">'
        f'<button type="button" data-go="-1" aria-label="{words.BEFORE}">‹</button><p aria-live="polite"></p>'
        f'<button type="button" data-go="1" aria-label="{words.AFTER}">›</button>'
        f'<button type="button" data-go="" aria-label="{words.CLOSE}">×</button></div></dialog>'
    )
    return gr.HTML(dialog, js_on_load=SCRIPT.read_text(encoding="utf-8"))
