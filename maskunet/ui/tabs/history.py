"""The History tab: this browser's runs, kept in the browser; open one again, make files of it to share, or take it off the list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.ui import remembered, to_share, words
from maskunet.ui.handlers import QUEUED, QUICK, picked, shows_a_run
from maskunet.ui.html import pictures
from maskunet.ui.remembered import Remembered
from maskunet.ui.tabs.base import Part, Stage, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page

SCRIPT = Path(__file__).with_name("history.js")


@dataclass(frozen=True, slots=True)
class History(Part):
    """The tab's components."""

    grid: gr.HTML
    drawn: gr.Row
    of: gr.HTML
    files: list[gr.DownloadButton]

    def staged(self) -> list[Any]:
        """The list."""
        return [self.grid]

    def show(self, stage: Stage) -> Sequence[Any]:
        """The list, which a job that goes on is not in yet."""
        return (gr.skip() if stage.kept is None or stage.event is not None else grid(stage.kept),)

    def wire(self, page: "Page") -> None:
        """Open, draw to share, and remove."""
        rest = (gr.skip(),) * (len(page.opening()) - len(page.staged()))

        @shows_a_run
        def act(kept: list[Remembered], event: gr.EventData) -> tuple[Any, ...]:
            asked = picked(event)
            run_id = str(asked.get("run", ""))
            if asked.get("act") == "remove":
                left = remembered.without_run(kept, run_id)
                mine = (grid(left) if part is self.grid else gr.skip() for part in page.staged())
                return *mine, *rest, left, gr.skip()
            return *page.open(run_id), gr.skip(), gr.Tabs(selected="compare")

        @shows_a_run
        def share(event: gr.EventData) -> Iterator[tuple[Any, ...]]:
            run = page.found(str(picked(event).get("run", "")))
            of = escape(words.DRAWN.format(run=run.request))
            for goes_on, files in to_share.drawn(page.studio.shelf, run):
                said = f"{of}: {words.MAKING_FILES}" if goes_on else of
                yield gr.Row(visible=True), f'<p class="said">{said}</p>', *files

        self.grid.download(share, None, [self.drawn, self.of, *self.files], **QUEUED)

        def told(kept: list[Remembered]) -> str:
            return grid(kept)

        page.heard.change(told, page.heard, self.grid, **QUICK)
        outputs = [*page.opening(), page.kept, page.tabs]
        opened = self.grid.select(act, page.kept, outputs, trigger_mode="multiple", **QUEUED)
        page.forget_link(opened)


def build(page: "Page", tab: gr.Tab) -> History:
    """Draw the tab."""
    found = gr.HTML(grid([]), js_on_load=SCRIPT.read_text(encoding="utf-8"), elem_id="history")
    with gr.Row(visible=False, elem_id="history-share") as drawn:
        of = gr.HTML("")
        files = to_share.buttons()
    gr.Markdown(words.HISTORY_NOTE, elem_classes="hint")
    return History(found, drawn, of, files)


def grid(kept: Sequence[Remembered]) -> str:
    """The list as cards."""
    runs = remembered.listed(kept)
    if not runs:
        return pictures.empty(words.EMPTY_HISTORY)
    return f'<div class="runs">{"".join(_card(item) for item in runs)}</div>'


def _card(item: Remembered) -> str:
    known = {name: escape(str(item.get(name, "")), quote=True) for name in ("id", "prompt", "model", "method", "seed")}
    gain, state, picture = item.get("gain"), str(item.get("state", "done")), str(item.get("picture", ""))
    reward = "" if gain is None else f", reward {gain:+.2f}"
    badge = "" if state == "done" else f" {pictures.cut_short(state)}"
    picture = escape(picture, quote=True) if picture.startswith("data:image/jpeg;base64,") else ""
    return (
        f'<article><img {pictures.ZOOM} src="{picture}" alt="Result for: {known["prompt"]}">'
        f"<div><p>{known['prompt']}</p><small>{known['model']}, {known['method']}, seed {known['seed']}{reward}</small>"
        f'{badge}<button type="button" data-run="{known["id"]}" data-act="open">{words.OPEN}</button>'
        f'<button type="button" data-run="{known["id"]}" data-act="share">{words.TO_SHARE}</button>'
        f'<button type="button" data-run="{known["id"]}" data-act="remove">{words.DELETE}</button></div></article>'
    )


SPEC = TabSpec(name="history", title="History", order=70, build=build)
