"""A run drawn to show around, as files to download: beside the run, and from the list of runs."""

import gradio as gr

from maskunet.records import Run
from maskunet.ui import words
from maskunet.ui.studio import Shelf


def buttons() -> list[gr.DownloadButton]:
    """One for each file, hidden until it is drawn."""
    return [gr.DownloadButton(said, size="sm", visible=False) for said in words.SHARED.values()]


def drawn(shelf: Shelf, run: Run) -> list[gr.DownloadButton]:
    """The buttons of `buttons` with the files of this run; a run that kept no steps has no animation."""
    made = {path.name: str(path) for path in shelf.share(run)}
    return [gr.DownloadButton(value=made.get(name), visible=name in made) for name in words.SHARED]
