"""The Vote tab: blind votes on pairs of pictures, where the page was opened with a study."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.ui import vote_words as words
from maskunet.ui.handlers import QUEUED, QUICK, UNFIT, picked
from maskunet.ui.html import vote as views
from maskunet.ui.studio import Studio, VoteStudio
from maskunet.ui.tabs.base import Part, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page

SCRIPT = Path(__file__).with_name("vote.js")
STORE = {"secret": "maskunet-lab", "storage_key": "maskunet-lab-voter"}  # fixed, or a restart forgets


def build(page: "Page", tab: gr.Tab) -> Part:
    """Draw the tab; what a voter is shown follows from the token that this browser remembers."""
    votes = page.studio.votes
    token = gr.BrowserState("", **STORE)
    shown = gr.HTML(views.intro(), js_on_load=SCRIPT.read_text(encoding="utf-8"), elem_id="vote")

    def look(known: str | None) -> str:
        now = votes.now(known or "")
        return views.intro() if now is None else views.moment(now)

    def act(known: str | None, visitor: gr.Request, event: gr.EventData) -> tuple[Any, str]:
        sent = picked(event)
        known = known or ""
        if sent.get("act") == "begin" and votes.now(known) is None:
            known = votes.begin()
        return views.moment(_answered(votes, known, sent, visitor.client.host)), known

    tab.select(look, token, shown, **QUICK)
    page.demo.load(look, token, shown, **QUICK)
    shown.select(act, token, [shown, token], **QUEUED)
    return Part()


def _answered(votes: VoteStudio, token: str, sent: Mapping[str, Any], address: str) -> Any:
    """Where a voter is after what was sent; the studio decides whether it may be."""
    act, at, answer = sent.get("act"), sent.get("at"), sent.get("answer")
    if act == "begin":
        return votes.first(token)
    if type(at) is int and act == "undo":
        return votes.undo(token, at)
    if type(at) is int and act == "vote" and isinstance(answer, str):
        return votes.vote(token, at, answer, address)
    if act == "end":
        return votes.end(token)
    raise ValueError(UNFIT)


def offered(studio: Studio) -> bool:
    """Only where the page was opened with a study."""
    return studio.votes is not None


SPEC = TabSpec(name="vote", title=words.TITLE, order=45, build=build, offered=offered, wide=True)
