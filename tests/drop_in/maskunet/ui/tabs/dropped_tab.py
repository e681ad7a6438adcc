"""A tab in one file."""

from typing import Any

import gradio as gr

from maskunet.ui.tabs.base import Part, TabSpec


def build(page: Any, tab: gr.Tab) -> Part:
    gr.Markdown("What the dropped tab says.")
    return Part()


SPEC = TabSpec(name="dropped_tab", title="Dropped tab", order=99, build=build)
