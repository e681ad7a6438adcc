"""The History tab: this browser's runs, kept in the browser; open one again or take it off the list."""

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from maskunet.records import Run
from maskunet.ui import words
from maskunet.ui.handlers import LOUD
from maskunet.ui.html import pictures

LENGTH = 24  # runs listed; thumbnails are small, so the browser's storage holds them
SCRIPT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-run]');
  if (button) trigger('select', {run: button.dataset.run, act: button.dataset.act});
});
"""


@dataclass(frozen=True, slots=True)
class History:
    """The tab's components."""

    grid: gr.HTML

    def wire(self, page: Any, kept: gr.BrowserState, shown: gr.State, live: list[Any], optimize: Any) -> None:
        """Open and remove."""

        def act(runs: list[dict], event: gr.EventData) -> tuple[Any, ...]:
            asked = event._data or {}
            run_id = str(asked.get("run", ""))
            if asked.get("act") == "remove":
                left = [item for item in runs if item["id"] != run_id]
                return *[gr.skip()] * (len(live) + 2), left, grid(left)
            *stage, run_id = page.show(run_id)
            gr.Info("Opened in Compare and Optimize.")
            course = _course(page, run_id)
            return *stage, run_id, course, gr.skip(), gr.skip()

        outputs = [*live, shown, optimize.view, kept, self.grid]
        self.grid.select(act, kept, outputs, trigger_mode="multiple", **LOUD)


def _course(page: Any, run_id: str) -> Any:
    from maskunet.ui.tabs import optimize

    return optimize.still(page.find(run_id), page.titles)


def build() -> History:
    """Draw the tab."""
    found = gr.HTML(grid([]), js_on_load=SCRIPT, elem_id="history")
    gr.Markdown(words.HISTORY_NOTE, elem_classes="hint")
    return History(found)


def remember(kept: list[dict], run: Run) -> list[dict]:
    """The list with this run first."""
    item = {
        "id": run.id,
        "prompt": run.request.prompt[:120],
        "seed": run.request.seed,
        "method": run.request.method,
        "model": run.request.model,
        "state": run.state,
        "gain": run.rewards.get("total", 0) - run.base_rewards.get("total", 0) if run.base_rewards else None,
        "picture": pictures.uri(run.result_image, 96),
    }
    return [item, *(old for old in kept or [] if old["id"] != run.id)][:LENGTH]


def grid(kept: list[dict]) -> str:
    """The list as cards."""
    if not kept:
        return pictures.empty(words.EMPTY_HISTORY)
    return f'<div class="runs">{"".join(_card(item) for item in kept)}</div>'


def _card(item: dict) -> str:
    run_id = escape(str(item["id"]), quote=True)
    prompt = escape(str(item["prompt"]), quote=True)
    gain = item.get("gain")
    reward = "" if gain is None else f", reward {gain:+.2f}"
    state = str(item.get("state", "done"))
    badge = "" if state == "done" else f" {pictures.cut_short(state)}"
    picture = str(item["picture"]) if str(item["picture"]).startswith("data:image/jpeg;base64,") else ""
    return (
        f'<article><img src="{escape(picture, quote=True)}" alt="Result for: {prompt}">'
        f"<div><p>{prompt}</p><small>{escape(str(item['model']))}, {escape(str(item['method']))}, "
        f"seed {escape(str(item['seed']))}{reward}</small>{badge}"
        f'<button type="button" data-run="{run_id}" data-act="open">{words.OPEN}</button>'
        f'<button type="button" data-run="{run_id}" data-act="remove">{words.DELETE}</button></div></article>'
    )
