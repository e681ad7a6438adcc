"""A run drawn to show around, as files to download: beside the run, and from the list of runs."""

from collections.abc import Iterator

import gradio as gr

from maskunet.records import Run
from maskunet.ui import words
from maskunet.ui.studio import Shelf


def buttons() -> list[gr.DownloadButton]:
    """One for each file, hidden until it is drawn."""
    return [gr.DownloadButton(said, size="sm", visible=False) for said in words.SHARED.values()]


def drawn(shelf: Shelf, run: Run) -> Iterator[tuple[bool, list[gr.DownloadButton]]]:
    """Whether files are being made, at once, and the buttons of `buttons` with those of this run, then.

    A run that kept no steps has no animation.
    """
    shown = [gr.DownloadButton(visible=False)] * len(words.SHARED)
    yield True, shown
    try:
        made = {path.name: str(path) for path in shelf.share(run)}
        shown = [gr.DownloadButton(value=made.get(name), visible=name in made) for name in words.SHARED]
    finally:  # also before a refusal is told
        yield False, shown
