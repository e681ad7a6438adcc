"""The Train tab: a short training on this computer, watched while it runs; only where the user is at home."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.records.added import written
from maskunet.records.training import RecipeCard, TrainRequest, TrainState
from maskunet.ui import controls, settings, words
from maskunet.ui.handlers import QUEUED, QUICK
from maskunet.ui.html import chips, pictures
from maskunet.ui.html import train as views
from maskunet.ui.html.settings import form
from maskunet.ui.studio import Studio, TrainStudio
from maskunet.ui.tabs.base import Part, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page


@dataclass(frozen=True, slots=True)
class Train(Part):
    """The tab's components."""

    studio: TrainStudio
    recipe: gr.Dropdown
    about: gr.HTML
    preset: gr.Dropdown
    name: gr.Textbox
    base: gr.Dropdown
    own: gr.File
    changed: gr.HTML
    start: gr.Button
    stop: gr.Button
    status: gr.HTML
    kept: gr.Row
    archive: gr.DownloadButton
    log: gr.DownloadButton
    use: gr.Button
    samples: gr.HTML
    curves: gr.HTML

    def wire(self, page: "Page") -> None:
        """Keep the fields in step with the recipe, start, watch, stop, and offer what was trained."""
        c: controls.Controls = page.c
        shown = [self.start, self.stop, self.status, self.kept, self.archive, self.log, self.samples, self.curves]
        offered = [[c.method, c.model, c.trained], c.trained]
        self.recipe.input(self.new_recipe, self.recipe, [self.about, self.preset, self.changed], **QUICK)
        self.recipe.input(self.ask_pictures, self.recipe, self.own, **QUICK)
        self.preset.input(self.new_preset, [self.recipe, self.preset], self.changed, **QUICK)
        started = self.start.click(
            self.begin, [self.base, self.recipe, self.preset, self.name, self.changed, self.own], shown, **QUEUED
        )
        started.success(self.follow, None, shown, **QUEUED).then(self.offer, *offered, **QUICK)
        page.restored.then(self.offer, *offered, **QUICK)
        page.restored.then(self.follow, None, shown, **QUEUED).then(self.offer, *offered, **QUICK)
        self.stop.click(self.end, None, None, **QUICK)
        gr.on([c.method.input, c.model.input], self.offer, *offered, **QUICK)
        used = self.use.click(lambda: self.choose(c), None, [*c.filled(), page.tabs], **QUICK)
        used.success(self.say_word, None, [c.added.embeddings, c.added.tokens, c.prompt], **QUICK)
        used.success(None, None, None, js="() => scrollTo({top: 0})", api_visibility="private")  # to the prompt

    def new_recipe(self, recipe: str) -> tuple[Any, ...]:
        """Another recipe: what it is, its presets, and the settings of the first."""
        card = self._card(recipe)
        first = next(iter(card.presets))
        preset = gr.Dropdown(choices=list(card.presets), value=first)
        return about(card), preset, self.new_preset(recipe, first)

    def ask_pictures(self, recipe: str) -> gr.File:
        """Where to drop pictures, if the recipe learns from the user's own."""
        return gr.File(visible=self._card(recipe).own_pictures)

    def new_preset(self, recipe: str, preset: str) -> gr.HTML:
        """The fields of a preset's settings."""
        return settings.anew(fields(self._card(recipe), preset), {})

    def begin(
        self, base: str, recipe: str, preset: str, name: str | None, changed: Any, own: list[str] | None = None
    ) -> tuple[Any, ...]:
        """Start, or tell why not."""
        asked = TrainRequest(
            model=base,
            recipe=recipe,
            preset=preset,
            name=(name or "").strip(),
            settings=settings.changed(changed, f"{recipe}/{preset}"),
            pictures=tuple(own or ()),
        )
        self.studio.start(asked)
        hidden = gr.update(visible=False)
        return gr.Button(interactive=False), gr.Button(visible=True), "", hidden, gr.skip(), gr.skip(), "", ""

    def follow(self) -> Iterator[tuple[Any, ...]]:
        """Show the newest training from now to its end; also after a reload, also when it is over."""
        yield (gr.skip(),) * 8  # where nothing was trained: a generator without values would empty the page
        seen = (-1, -1, None)  # steps and checkpoints that this page shows, and whether base samples
        for state in self.studio.follow():
            now = len(state.events), len(state.sheets) and max(state.sheets), state.base is not None
            yield (
                gr.Button(interactive=state.over),
                gr.Button(visible=not state.over),
                views.status(state),
                *self._files(state),
                views.samples(state) if now[1:] != seen[1:] else gr.skip(),
                views.curves(state) if now[0] != seen[0] else gr.skip(),
            )
            seen = now

    def _files(self, state: TrainState) -> tuple[Any, Any, Any]:
        """The row of files, and both of them when the training is over."""
        if not (state.over and state.saved):
            return gr.Row(visible=False), gr.skip(), gr.skip()
        return gr.Row(visible=True), str(self.studio.archive()), str(self.studio.log())

    def end(self) -> None:
        """Ask the training to stop; `follow` shows how it does."""
        self.studio.stop()

    def offer(self, method: str | None, model: str | None, chosen: str | None) -> gr.Dropdown:
        """What was trained here and fits the method, for the controls beside the tabs."""
        names = self.studio.trained(method, model)
        return controls.parts_to_choose(names, chosen if chosen in names else "")

    def choose(self, c: controls.Controls) -> tuple[Any, ...]:
        """Put the newest training into the controls and go to Compare."""
        newest = next(self.studio.follow(), None)
        if newest is None:
            raise ValueError("Nothing was trained here yet.")
        request, asked = newest.request, {"model": newest.request.model}
        if method := self._card(request.recipe).method:  # else it is put on the model, whatever the method
            asked |= {"method": method, "settings": {c.methods[method].takes: request.name}}
        return *c.fill(asked), gr.Tabs(selected="compare")

    def say_word(self) -> tuple[Any, Any, Any]:
        """Where the newest training made a word: put it on the model, and into the prompt."""
        newest = next(self.studio.follow(), None)
        if newest is None:
            raise ValueError("Nothing was trained here yet.")
        request = newest.request
        card = self._card(request.recipe)
        if not card.word:
            return gr.skip(), gr.skip(), gr.skip()
        fields = {field.name: field.default for field in next(iter(card.presets.values()))}
        token = str(request.settings.get("token", fields["token"]))
        chosen = gr.Dropdown(value=[written(request.name, token)], allow_custom_value=True, visible=True)
        return chosen, chips.tokens([token]), f"a {token}"

    def _card(self, recipe: str) -> RecipeCard:
        return next(card for card in self.studio.recipes() if card.name == recipe)


def build(page: "Page", tab: gr.Tab) -> Train:
    """Draw the tab over the studio's part for training."""
    studio = page.studio.training
    cards, bases = studio.recipes(), studio.bases()
    first, preset = cards[0], next(iter(cards[0].presets))
    trained = page.c.model.value  # pictures are made with it, so a training is most likely for it
    gr.HTML(f'<p class="said">{words.TRAIN_INTRO}</p>')
    with gr.Column(elem_id="train-form", elem_classes="tab-form"):
        with gr.Row():
            base = gr.Dropdown(
                [(title, known) for known, title in bases.items()],
                value=trained if trained in bases else next(iter(bases)), label=words.MODEL,
                filterable=False, scale=3, min_width=260, elem_id="training-base",
            )  # fmt: skip
            recipe = gr.Dropdown(
                [(card.title, card.name) for card in cards], value=first.name, label=words.RECIPE,
                filterable=False, scale=3, min_width=250, elem_id="recipe",
            )  # fmt: skip
            presets = gr.Dropdown(
                list(first.presets),
                value=preset,
                label=words.PRESET,
                filterable=False,
                min_width=120,
            )
            name = gr.Textbox(
                "mine",
                label=words.TRAINING_NAME,
                max_lines=1,
                min_width=140,
                elem_id="training-name",
            )
        said = gr.HTML(about(first), elem_id="training-recipe")
        own = gr.File(
            label=words.OWN_PICTURES, file_count="multiple", file_types=["image"], visible=first.own_pictures,
            height=134, elem_id="own-pictures",
        )  # fmt: skip
        changed = settings.build(fields(first, preset), elem_id="train-settings")
        with gr.Row(elem_id="train-row"):
            start = gr.Button(words.START_TRAINING, variant="primary", elem_id="start-training")
            stop = gr.Button(words.STOP_TRAINING, variant="stop", visible=False, elem_id="stop-training")
        status = gr.HTML(pictures.empty(words.NO_TRAINING), elem_id="training")
    with gr.Row(visible=False, elem_id="trained-row") as kept:
        archive = gr.DownloadButton(words.DOWNLOAD_TRAINED, size="sm")
        log = gr.DownloadButton(words.DOWNLOAD_LOG, size="sm")
        use = gr.Button(words.USE_TRAINED, size="sm", elem_id="use-trained")
    samples, curves = gr.HTML("", elem_id="training-samples"), gr.HTML("", elem_id="training-curves")
    return Train(
        studio,
        recipe,
        said,
        presets,
        name,
        base,
        own,
        changed,
        start,
        stop,
        status,
        kept,
        archive,
        log,
        use,
        samples,
        curves,
    )


def about(card: RecipeCard) -> str:
    """What a recipe is."""
    return f'<p class="hint">{escape(card.summary)}</p>'


def fields(card: RecipeCard, preset: str) -> str:
    """The fields of a preset's settings, the main ones first."""
    known = words.TRAIN_SETTINGS
    return form(card.presets[preset], f"{card.name}/{preset}", known, key="train", first=list(known))


def offered(studio: Studio) -> bool:
    """Only where pages may start trainings."""
    return studio.training is not None


SPEC = TabSpec(name="train", title=words.TRAIN, order=60, build=build, offered=offered, wide=True)
