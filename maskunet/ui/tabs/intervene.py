"""The Intervene tab: take parts of the network out, or erase and amplify a concept, and see the picture change."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.records import MAX_STEPS, Request, Run, causal_map
from maskunet.records.seed import RANDOM
from maskunet.records.selection import parse
from maskunet.ui import controls, remembered
from maskunet.ui import intervene_words as words
from maskunet.ui.handlers import QUEUED, QUICK, picked, shows_a_run
from maskunet.ui.html import intervene as views
from maskunet.ui.html import live
from maskunet.ui.interventions import Session, Wish, clicked, decides, directions
from maskunet.ui.studio import answered
from maskunet.ui.tabs.base import Part, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page

HERE = Path(__file__).parent
FREE = {**QUEUED, "trigger_mode": "multiple"}  # the newest wish wins
NOTHING = (gr.skip(),) * 12  # a value for each of what shows a wish


@dataclass(frozen=True, slots=True)
class Intervene(Part):
    """The tab's components."""

    page: "Page"
    knocked: gr.HTML
    concept: gr.Dropdown
    dose: gr.Slider
    none: gr.HTML
    what: gr.Textbox
    undo: gr.Button
    redo: gr.Button
    reset: gr.Button
    compare: gr.Button
    explore: gr.Button
    said: gr.HTML
    board: gr.HTML
    tried: gr.HTML
    session: gr.State
    tab: gr.Tab

    def wire(self, page: "Page") -> None:
        """Every wish goes the same way: `made`."""
        c, form = page.c, [*page.c.inputs(), page.owner, self.session]
        shown = [
            self.knocked, self.board, self.tried, self.said, self.what, self.concept, self.dose, self.undo, self.redo,
            self.compare, self.explore, self.session,
        ]  # fmt: skip
        self.board.select(self.click, form, shown, **FREE)
        self.what.submit(self.typed, [self.what, *form], shown, **FREE)
        page.wish.change(self.wished, [page.wish, *form], shown, **FREE)  # of another tab
        gr.on([self.dose.release, self.concept.input], self.dosed, [self.concept, self.dose, *form], shown, **FREE)
        self.undo.click(self.moves(-1), form, shown, **FREE)
        self.redo.click(self.moves(1), form, shown, **FREE)
        self.reset.click(self.bring_back, form, shown, **FREE)
        self.tried.select(self.look, [c.model, c.steps, page.owner, self.session], shown, **QUEUED)
        looked = [c.model, self.concept, page.shown, self.session, c.prompt, c.seed]
        self.tab.select(self.refresh, looked, [self.concept, self.dose, self.none, self.knocked], **QUICK)
        asked, other = [c.model, c.steps, self.session], [self.board, self.concept, self.dose, self.none]
        gr.on([c.model.change, c.steps.change], self.change, asked, other, **QUICK)
        # Not before somebody looks: it reads the network, which takes the libraries of models.
        page.restored.then(self.change, asked, other, **QUICK)
        for button, tab in ((self.compare, "compare"), (self.explore, "explore")):
            outputs = [*page.opening(), page.kept, page.tabs]
            page.forget_link(button.click(self.opens(tab), [self.session, page.kept], outputs, **QUEUED))

    def click(self, visitor: gr.Request, event: gr.EventData, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Take out, halve or bring back the part that was clicked."""
        *fields, owner, session = values
        asked, clicks = self.request(fields, Wish()), picked(event).get("clicks")
        after = clicked(self.page.studio.network(asked.model), asked.steps, session, clicks)
        yield from self.made(visitor, fields, owner, after)

    def typed(self, visitor: gr.Request, what: str | None, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Take out what the text says."""
        *fields, owner, session = values
        parse(what or "")  # before it is a wish
        yield from self.made(visitor, fields, owner, session.wished(Wish(what=(what or "").strip())))

    def wished(self, visitor: gr.Request, wish: dict[str, str], *values: Any) -> Iterator[tuple[Any, ...]]:
        """Take out what another tab asks for."""
        yield from self.typed(visitor, wish.get("what"), *values)

    def dosed(self, visitor: gr.Request, concept: str | None, dose: float, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Erase or amplify so much of a concept; of one that was only chosen, nothing yet."""
        *fields, owner, session = values
        if not dose and not session.wish.dose:
            yield NOTHING
            return
        wish = Wish(concept=concept or "", dose=round(max(-1.0, min(1.0, dose)), 2)) if dose else Wish()
        yield from self.made(visitor, fields, owner, session.wished(wish))

    def moves(self, by: int) -> Any:
        """What undoes (-1) or redoes (1) a wish."""

        def move(visitor: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
            *fields, owner, session = values
            yield from self.made(visitor, fields, owner, session.moved(by))

        return move

    def bring_back(self, visitor: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Leave nothing out."""
        *fields, owner, session = values
        yield from self.made(visitor, fields, owner, session.wished(Wish()))

    @shows_a_run
    def look(self, name: str, steps: Any, owner: str | None, session: Any, event: gr.EventData) -> tuple[Any, ...]:
        """Show again what was tried, in place of what is being made; the board stays the form's, as is the next click."""
        known = session.found(str(picked(event).get("run", "")))
        session, run = replace(session.wished(known.wish), run=known.run), self.page.found(known.run)
        return self.again(run, self.board_of(name, steps, session.wish), owner, session)

    def opens(self, tab: str) -> Any:
        """What shows the pair in another tab."""
        page = self.page

        @shows_a_run
        def show(session: Any, kept: list[remembered.Remembered]) -> tuple[Any, ...]:
            shown = page.open(session.run)
            return *shown, remembered.with_run(kept, page.found(session.run)), gr.Tabs(selected=tab)

        return show

    def change(self, name: str, steps: Any, session: Any) -> tuple[Any, ...]:
        """The board and the concepts of another model or number of steps, with what is out and erased already."""
        wish = session.wish
        pick, slide, none = offered(self.page, name)
        if wish.dose and wish.concept in pick["choices"]:
            pick["value"], slide["value"] = wish.concept, wish.dose
        return self.board_of(name, steps, wish), gr.Dropdown(**pick), gr.Slider(**slide), none

    def board_of(self, name: str, steps: Any, wish: Wish) -> str:
        """The board of what the form says, which may be no number of steps."""
        steps = int(steps) if steps and 1 <= steps <= MAX_STEPS else usual(self.page, name)
        return board(self.page, name, steps, wish.what)

    @shows_a_run
    def refresh(self, name: str, chosen: str | None, shown: str, session: Any, *asked: Any) -> tuple[Any, ...]:
        """The concepts of masks that were made since the page was built, where what is chosen stays, and the plain
        picture that is on the stage already.
        """
        pick, slide, none = offered(self.page, name)
        pick["value"] = chosen if chosen in pick["choices"] else pick["value"]
        del slide["value"]
        plain = gr.skip() if session.run else views.inviting(self.on_stage(shown, name, *asked), self.page.titles)
        return gr.Dropdown(**pick), gr.Slider(**slide), none, plain

    def request(self, fields: Any, wish: Wish) -> Request:
        """What the form says, by the method that does the wish; previews are not needed, so that it is quick."""
        form = controls.Values(*fields)
        asked = controls.request(form._replace(method="knock_out", preset="", trained="", changed=None, edited=None))
        method, settings = wish.method(self.page.studio.concepts(asked.model) if wish.dose else ())
        steps = asked.steps or usual(self.page, asked.model)
        return replace(asked, method=method, settings=settings, steps=steps, previews=False)

    def made(self, visitor: gr.Request, fields: Any, owner: Any, session: Session) -> Iterator[tuple[Any, ...]]:
        """Make the wish's pair in place of the one that is being made, or show it if it was made before."""
        page, wish = self.page, session.wish
        asked = self.request(fields, wish)
        if controls.Values(*fields).seed in RANDOM and session.seed is not None:
            asked = replace(asked, seed=session.seed)
        drawn, key, skip = board(page, asked.model, asked.steps, wish.what), decides(asked), gr.skip()
        known = page.find(session.known(key)) if session.known(key) else None
        if known is not None:
            yield self.again(known, drawn, owner, session.with_run(known, key))
            return
        job = page.studio.instead(asked, owner=remembered.owner(owner), address=visitor.client.host)
        if job is None:  # something newer was asked for
            yield NOTHING
            return
        yield skip, drawn, skip, live.status(page.studio.now(job)), *self.words(session), skip, skip, session
        for event in answered(page.studio, job):
            if event.run is not None:
                yield self.outcome(event.run, session.with_run(event.run, key))
            elif event.phase == "stopped":  # something newer was asked for
                yield NOTHING  # gradio sends the last values again
            else:
                yield skip, skip, skip, live.status(event), *NOTHING[4:]
            if event.phase == "failed":
                raise ValueError(event.message)

    def on_stage(self, shown: str, model: str, prompt: str, seed: Any) -> Run | None:
        """The run on the stage, if its plain picture is the one that the form asks for."""
        run = self.page.find(shown)
        asked = run and (run.request.model, run.request.prompt, str(run.request.seed))
        return run if asked == (model, prompt.strip(), str(seed).strip()) else None

    def outcome(self, run: Run, session: Session) -> tuple[Any, ...]:
        """What follows from a run; what is asked with stays, which may have been changed while it was made."""
        pair, tried = views.pair(run, session.wish.said(), self.page.titles), views.tried(session.tried, run.id)
        note = f'<p class="hint">{words.EVERYTHING}</p>' if not run.keep_ratio else ""
        openable = gr.Button(interactive=True)
        return pair, gr.skip(), tried, note, *(gr.skip(),) * 5, openable, openable, session

    def again(self, run: Run, drawn: str, owner: str | None, session: Session) -> tuple[Any, ...]:
        """Every output for a run that was there already; what is being made is given up."""
        self.page.studio.withdraw(remembered.owner(owner))
        pair, _, tried, note, *_, compare, explore, session = self.outcome(run, session)
        return pair, drawn, tried, note, *self.words(session), compare, explore, session

    def words(self, session: Session) -> tuple[Any, ...]:
        """The selection's text, the concept and its dose, and what can be undone and redone."""
        wish = session.wish
        undo, redo = session.at > 0, session.at < len(session.wishes) - 1
        concept = gr.Dropdown(value=wish.concept) if wish.dose else gr.skip()
        return wish.what, concept, wish.dose, gr.Button(interactive=undo), gr.Button(interactive=redo)


def usual(page: "Page", model: str) -> int:
    """The steps of a model's pictures where the form says none; one that is not there is refused later."""
    card = page.c.models.get(model)
    return 1 if card is None else card.steps


def board(page: "Page", model: str, steps: int, what: str) -> str:
    """The board of a model; of one that has nothing to take out, why."""
    try:
        network = page.studio.network(model)
    except ValueError as error:
        return views.nothing(str(error))
    return views.Board(network, parse(what), steps, causal_map.read(model)).html()


def offered(page: "Page", model: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The concepts of a model, how far each way the slider goes, or how to make one."""
    try:
        found = directions(page.studio.concepts(model))
    except ValueError:  # its weights are missing, which the form tells
        found = {}
    none = "" if found else f'<p class="hint">{escape(lacking(page, model))}</p>'
    ways = tuple(not found or any(way in each for each in found.values()) for way in ("erase", "amplify"))
    pick = {"choices": list(found), "value": next(iter(found), None), "visible": bool(found)}
    slide = {"minimum": -float(ways[0]), "maximum": float(ways[1]), "value": 0, "label": words.DOSE[ways]}
    return pick, {**slide, "visible": bool(found)}, none


def lacking(page: "Page", model: str) -> str:
    """Which other model has concepts, or how to make one."""
    for card in page.models:
        if card.available and card.name != model and (found := directions(page.studio.concepts(card.name))):
            return words.OTHER_CONCEPTS.format(model=card.title, concepts=", ".join(found))
    return words.NO_CONCEPTS


def build(page: "Page", tab: gr.Tab) -> Intervene:
    """Draw the tab."""
    model = next((card.name for card in page.models if card.available), page.models[0].name)
    pick, slide, missing = offered(page, model)
    with gr.Row(elem_id="knock-row"):
        with gr.Column(scale=2, min_width=300):
            knocked = gr.HTML(views.inviting(None, page.titles), elem_id="knocked")
            with gr.Row(elem_id="knock-open"):
                compare = gr.Button(words.COMPARE, size="sm", interactive=False, min_width=110)
                explore = gr.Button(words.EXPLORE, size="sm", interactive=False, min_width=110)
        with gr.Column(scale=1, min_width=240, elem_id="knock-side", elem_classes="tab-form"):
            concept = gr.Dropdown(label=words.CONCEPT, filterable=False, elem_id="concept", **pick)
            dose = gr.Slider(step=0.1, buttons=[], elem_id="dose", **slide)
            none = gr.HTML(missing)
            what = gr.Textbox(label=words.WHAT, placeholder=words.EXAMPLE, lines=1, max_lines=3, elem_id="what")
            with gr.Row(elem_classes="buttons"):
                undo = gr.Button(words.UNDO, size="sm", interactive=False, min_width=70)
                redo = gr.Button(words.REDO, size="sm", interactive=False, min_width=70)
                reset = gr.Button(words.RESET, size="sm", min_width=110)
            said = gr.HTML("", elem_id="knock-said")
    drawn = gr.HTML("", js_on_load=(HERE / "intervene.js").read_text(encoding="utf-8"), elem_id="board")
    tried = gr.HTML("", js_on_load=(HERE / "tried.js").read_text(encoding="utf-8"), elem_id="tried")
    return Intervene(
        page, knocked, concept, dose, none, what, undo, redo, reset, compare, explore, said, drawn, tried,
        gr.State(Session()), tab,
    )  # fmt: skip


SPEC = TabSpec(name="intervene", title=words.TITLE, order=15, build=build, starts="what")
