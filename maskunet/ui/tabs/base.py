"""What every tab shares: its SPEC, and what it may do when another run is on the stage."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.records import JobEvent, Run
from maskunet.ui.html.live import Watcher
from maskunet.ui.remembered import Remembered
from maskunet.ui.studio import Studio

if TYPE_CHECKING:
    from maskunet.ui.page import Page


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """What the tabs are to show: a run that is over, a job that goes on or has failed, or nothing.

    Attributes:
        run: with what its folder holds, and `precomputed`, whether it is one of the gallery's.
        event, watcher: of the job, its newest event and what has seen it; None for a run and for nothing.
        kept: the runs that this browser remembers; None leaves its list as it is, which may have changed meanwhile.
    """

    run: Run | None = None
    precomputed: bool = False
    event: JobEvent | None = None
    watcher: Watcher | None = None
    kept: Sequence[Remembered] | None = None


class Part:
    """The components of a tab, and what becomes of them; a tab overrides what it needs."""

    def staged(self) -> list[Any]:
        """The components that follow the stage."""
        return []

    def show(self, stage: Stage) -> Sequence[Any]:
        """Their values."""
        return ()

    def moving(self) -> list[Any]:
        """Those of them that change while a job goes on: few, as each takes time from the work itself."""
        return []

    def move(self, event: JobEvent, watcher: Watcher) -> Sequence[Any]:
        """Their values."""
        return ()

    def wire(self, page: "Page") -> None:
        """Set up the tab's own events, when all tabs are drawn."""


def always(studio: Studio) -> bool:
    """Offered whatever the studio can do."""
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class TabSpec:
    """A tab: its name, which is its id, its title, where it stands, and how it is drawn.

    Attributes:
        order: tabs stand by it from left to right.
        build: draws the tab, within the `gr.Tab` that it is given.
        offered: whether this studio's page has it.
        wide: whether it needs the room of the form, or none of its fields; it then folds away while it is open.
        starts: where it begins its work itself, the id of the button or text that does: the form's “Generate both” is not
            offered beside it, and Enter in the prompt goes there.
    """

    name: str
    title: str
    order: int
    build: Callable[["Page", gr.Tab], Part]
    offered: Callable[[Studio], bool] = always
    wide: bool = False
    starts: str = ""


def press_start(specs: Iterable[TabSpec]) -> str:
    """A script that begins what the open tab begins, with its button or its text, or else a pair; if that can be now."""
    own = ", ".join(f"#{spec.starts}" for spec in specs if spec.starts)
    return f"""() => {{
  const tab = document.querySelector('.tabitem.own-start:not([style*="none"])');
  const start = tab ? tab.querySelector('{own}') : document.getElementById('generate');
  const text = start?.querySelector('textarea');
  if (text) text.dispatchEvent(new KeyboardEvent('keypress', {{ key: 'Enter', bubbles: true }}));
  else if (start?.offsetParent) start.click();
}}"""
