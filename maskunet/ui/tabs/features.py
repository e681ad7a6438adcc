"""The Features tab: sets of pictures side by side, as points of their features and in measures."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.failures import sentence
from maskunet.records.features import RANGES, FeatureRequest, SetCard
from maskunet.ui import words
from maskunet.ui.handlers import QUEUED, QUICK
from maskunet.ui.html import features as views
from maskunet.ui.html import pictures
from maskunet.ui.html import status as status_line
from maskunet.ui.studio import FeatureStudio
from maskunet.ui.tabs.base import Part, TabSpec
from visualize import embedding

if TYPE_CHECKING:
    from maskunet.ui.page import Page

SCRIPT = Path(__file__).with_name("features.js")
USUAL = {card.name: card.default for card in RANGES}


@dataclass(frozen=True, slots=True)
class Features(Part):
    """The tab's components."""

    studio: FeatureStudio
    empty: gr.HTML
    form: gr.Column
    sets: gr.CheckboxGroup
    reference: gr.Dropdown
    embedding: gr.Radio
    perplexity: gr.Number
    seed: gr.Number
    folders: gr.Row
    extractor: gr.Dropdown
    most: gr.Number
    refused: gr.HTML
    draw: gr.Button
    stop: gr.Button
    status: gr.HTML
    shown: gr.Row
    cloud: gr.HTML
    measures: gr.HTML
    tab: gr.Tab
    drawn: gr.State

    def wire(self, page: "Page") -> None:
        """Offer the sets there are, keep the fields in step with them, draw and stop."""
        offered = [self.empty, self.form, self.shown, self.sets, self.folders, self.refused]
        follows = [self.reference, self.perplexity]
        chosen = [self.sets, self.reference, self.most, self.perplexity]
        page.demo.load(self.offer, None, offered, **QUICK)
        self.sets.change(self.fit, chosen, follows, **QUICK)
        self.most.change(self.fit, chosen, follows, **QUICK)
        fields = [self.sets, self.reference, self.embedding, self.perplexity, self.seed, self.extractor, self.most]
        shown = [self.draw, self.stop, self.status, self.cloud, self.measures]
        self.draw.click(self.follow, fields, shown, **QUEUED)
        self.tab.select(self.open, self.drawn, [self.drawn, *shown], **QUEUED)
        self.stop.click(self.end, None, None, **QUICK)

    def offer(self) -> tuple[Any, ...]:
        """The sets there are now, the first precomputed ones chosen; what cannot be used is said."""
        cards = self.studio.sets()
        usable = [card for card in cards if not card.reason]
        chosen = [card.key for card in first_ones(cards)] or [card.key for card in usable[:2]]
        refused = "".join(f'<p class="hint">{escape(card.reason)}</p>' for card in cards if card.reason)
        folders = any(not card.extractor for card in usable)
        return (
            gr.HTML(visible=not usable),
            gr.Column(visible=bool(usable)),
            gr.Row(visible=bool(usable)),
            gr.CheckboxGroup(choices=choices(usable), value=chosen),
            gr.Row(visible=folders),
            refused,
        )

    def fit(
        self, sets: list[str] | None, reference: str | None, most: float | None, perplexity: float | None
    ) -> tuple[Any, ...]:
        """The reference is one of the chosen sets; the perplexity is one that they allow."""
        cards, n = self.chosen(sets, most)
        keys = [card.key for card in cards]
        kept = reference if reference in keys else next(iter(keys), None)
        largest = embedding.largest_perplexity(n)
        fits = perplexity is not None and 1 <= perplexity <= max(largest, 1)
        number = perplexity if fits else max(1, min(embedding.PERPLEXITY, largest))
        return (
            gr.Dropdown(choices=[(card.title, card.key) for card in cards], value=kept),
            gr.Number(value=number, info=words.perplexity_info(largest, n)),
        )

    def chosen(self, sets: list[str] | None, most: float | None) -> tuple[list[SetCard], int]:
        """The chosen sets, and how many pictures they have together."""
        cards = [card for card in self.studio.sets() if card.key in (sets or ())]
        limit = USUAL["most"] if most is None else int(most)
        return cards, sum(card.n if card.extractor else min(card.n, limit) for card in cards)

    def open(self, drawn: bool, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Draw what came with the project when the tab is opened for the first time; folders may take an hour."""
        cards = first_ones(self.studio.sets())
        if drawn or not cards:
            yield (gr.skip(),) * 6
            return
        keys, n = [card.key for card in cards], sum(card.n for card in cards)
        perplexity = max(1, min(embedding.PERPLEXITY, embedding.largest_perplexity(n)))
        usual = "t-SNE", perplexity, USUAL["seed"], cards[0].extractor, USUAL["most"]
        for values in self.follow(keys, keys[0], *usual, request):
            yield True, *values

    def follow(
        self, sets: list[str] | None, reference: str | None, kind: str, perplexity: float | None, seed: float | None,
        extractor: str, most: float | None, request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        """Draw, and tell how far it is; the plane comes before the measures."""
        skip = gr.skip()
        precomputed = {card.title: bool(card.extractor) for card in self.studio.sets()}
        networks = {card.name: card.title for card in self.studio.extractors()}
        yield gr.Button(interactive=False), gr.Button(visible=True), "", skip, skip
        said = skip
        try:
            wanted = asked(sets, reference, kind, perplexity, seed, extractor, most)
            if wanted.sets and (problem := embedding.obstacle(kind, self.chosen(sets, most)[1], wanted.perplexity)):
                raise ValueError(problem)  # before any work, and what was drawn before stays
            for event in self.studio.draw(wanted, request.session_hash, request.client.host):
                plane, found = event.plane, event.measures
                yield (
                    skip,
                    skip,
                    views.status(event),
                    skip if plane is None else views.cloud(plane, precomputed, networks),
                    skip if found is None else views.measures(found) if found.rows or event.phase == "done" else "",
                )
        except ValueError as error:
            said = status_line.failed(sentence(error))
        yield gr.Button(interactive=True), gr.Button(visible=False), said, skip, skip

    def end(self, request: gr.Request) -> None:
        """Stop this page's drawing; `follow` says so, as two writers would overtake each other."""
        self.studio.stop(request.session_hash)


def build(page: "Page", tab: gr.Tab) -> Features:
    """Draw the tab over the studio's part for features."""
    studio = page.studio.features
    empty = gr.HTML(pictures.empty(words.EMPTY_FEATURES), visible=False)
    with gr.Column(visible=False, elem_id="features-form", elem_classes="tab-form") as form:
        sets = gr.CheckboxGroup([], label=words.SETS, elem_id="feature-sets")
        with gr.Row():
            reference = gr.Dropdown([], label=words.REFERENCE, min_width=180)
            kind = gr.Radio(kinds(), value="t-SNE", label=words.EMBEDDING, min_width=180)
            perplexity = gr.Number(embedding.PERPLEXITY, label=words.PERPLEXITY, info=" ", min_width=180)
            seed = gr.Number(
                USUAL["seed"],
                label=words.SEED,
                precision=0,
                minimum=0,
                min_width=120,
            )
        with gr.Row(visible=False) as folders:
            networks = [(card.title, card.name) for card in studio.extractors()]
            extractor = gr.Dropdown(
                networks,
                value=networks[0][1],
                label=words.EXTRACTOR,
                info=words.EXTRACTOR_INFO,
                min_width=220,
            )
            most = gr.Number(USUAL["most"], label=words.MOST, info=words.MOST_INFO, precision=0, min_width=180)
        with gr.Row(elem_id="draw-row"):
            draw = gr.Button(words.DRAW, variant="primary", elem_id="draw")
            stop = gr.Button(words.STOP_DRAWING, variant="stop", visible=False, elem_id="stop-drawing")
        status = gr.HTML("", elem_id="drawing")
    refused = gr.HTML("")
    gr.HTML(f'<p class="hint">{words.COCO}</p>', elem_id="coco")
    with gr.Row(visible=False) as shown:
        with gr.Column(scale=3, min_width=300):
            cloud = gr.HTML(
                pictures.empty(words.NOTHING_DRAWN), js_on_load=SCRIPT.read_text(encoding="utf-8"), elem_id="cloud"
            )
        with gr.Column(scale=2, min_width=280):
            measures = gr.HTML("", elem_id="measures")
    return Features(
        studio, empty, form, sets, reference, kind, perplexity, seed, folders, extractor, most, refused, draw,
        stop, status, shown, cloud, measures, tab, gr.State(False),
    )  # fmt: skip


def kinds() -> list[str]:
    """The embeddings that are installed; any number of pictures would do to ask for them."""
    return [kind for kind in embedding.KINDS if not embedding.obstacle(kind, 1000)]


def first_ones(cards: list[SetCard]) -> list[SetCard]:
    """The precomputed sets of the first file: those of the base model with which the page opens."""
    usable = [card for card in cards if card.extractor and not card.reason]
    return [card for card in usable if card.file == usable[0].file]


def choices(cards: list[SetCard]) -> list[tuple[str, str]]:
    """Sets with their numbers of pictures, for a list."""
    return [(words.a_set(card.title, card.n), card.key) for card in cards]


def asked(
    sets: list[str], reference: str, kind: str, perplexity: float, seed: float, extractor: str, most: float
) -> FeatureRequest:
    """The request that the fields hold.

    Raises:
        ValueError: a field is empty.
    """
    for value, label in ((perplexity, words.PERPLEXITY), (seed, words.SEED), (most, words.MOST)):
        if value is None:
            raise ValueError(f"The field “{label}” is empty. Give a number.")
    return FeatureRequest(
        sets=tuple(sets or ()), reference=reference or "", embedding=kind, perplexity=float(perplexity),
        seed=int(seed), extractor=extractor, most=int(most),
    )  # fmt: skip


SPEC = TabSpec(name="features", title=words.FEATURES, order=50, build=build, wide=True)
