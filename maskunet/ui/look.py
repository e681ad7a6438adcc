"""How the page looks: gradio's theme, and the style sheets of the page and of its parts."""

from pathlib import Path

import gradio as gr

CSS = sorted(Path(__file__).parent.rglob("*.css"))  # of the page and, beside them, of its parts


def theme() -> gr.Theme:
    """System fonts, neutral grays, one accent: no request to another server."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Helvetica Neue", "Arial", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    return gr.themes.Base(
        primary_hue="teal", neutral_hue="zinc", radius_size="md", text_size="md", font=fonts, font_mono=mono
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_text_color="white",
        block_border_width="0px",
        block_shadow="none",
        block_background_fill="transparent",
        block_label_background_fill="transparent",
        body_background_fill="white",
        body_background_fill_dark="*neutral_950",
    )
