"""The windows of one browser: each has the list of runs as a copy of its own, and tells the others what it changed."""

from pathlib import Path

import gradio as gr

SCRIPT = Path(__file__).with_name("windows.js")
PLAIN = {"api_visibility": "private", "show_progress": "hidden"}


def build(kept: gr.BrowserState) -> gr.HTML:
    """Keep the list alike in all windows; what is returned has the list of another one when that has changed it."""
    heard = gr.HTML([], html_template="", js_on_load=SCRIPT.read_text(encoding="utf-8"), apply_default_css=False)
    kept.change(None, kept, None, js="(kept) => { window.tellWindows?.(kept); }", **PLAIN)
    heard.change(None, [heard, kept], kept, js="(heard, kept) => [window.hearsWindows ? heard : kept]", **PLAIN)
    return heard
