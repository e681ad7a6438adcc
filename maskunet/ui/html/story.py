"""The tour: what masks are and do, in up to five slides of runs that were made before."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import NamedTuple

from maskunet.records import Run
from maskunet.ui import race_words, story_words, words
from maskunet.ui.html import pictures, plots, race

# The methods that tell each part of the story, the best one first; a part without a run is left out.
RANDOM = ("random_mask",)  # of the very pictures of the chosen ones, whose control it is
CHOSEN = ("maskunet_trained", "maskunet_amortized", "maskunet_free")
CONCEPT = ("held_mask",)


class Slide(NamedTuple):
    """One slide; its text is plain, its picture HTML."""

    title: str
    text: str
    picture: str


def story(shelf: Mapping[str, Run], titles: Mapping[str, str]) -> str:
    """The dialog with all slides, of which the first one is shown.

    Args:
        shelf: the precomputed runs by id. titles: of models, methods and rewards, by name.
    """
    slides = [*_slides(shelf, titles)]
    shown = "".join(
        f'<section class="slide"{"" if number == 0 else " hidden"} aria-label="{number + 1} / {len(slides)}">'
        f"<h2>{escape(slide.title)}</h2><p>{escape(slide.text)}</p>{slide.picture}</section>"
        for number, slide in enumerate(slides)
    )
    links = "".join(
        f'<a href="{address}" target="_blank" rel="noopener noreferrer">{name}</a>'
        for name, address in story_words.LINKS.items()
    )
    return (
        f'<dialog id="story" tabindex="-1" autofocus aria-label="{story_words.TOUR}">{shown}<footer>'
        f'<button type="button" data-by="-1">{story_words.BACK}</button>'
        f'<output aria-live="polite">1 / {len(slides)}</output>'
        f'<button type="button" data-by="1">{story_words.NEXT}</button><nav>{links}</nav>'
        f'<button type="button" data-full>{story_words.FULL}</button>'
        f'<button type="button" data-close>{words.CLOSE}</button></footer></dialog>'
    )


def _slides(shelf: Mapping[str, Run], titles: Mapping[str, str]) -> Iterator[Slide]:
    chosen = _first(shelf, CHOSEN)
    if chosen is not None:
        alone = pictures.figure(chosen.base_image, pictures.names(chosen, titles)[0], chosen.request.prompt, 512)
        plain = story_words.plain(chosen.request.prompt, titles.get(chosen.request.model, chosen.request.model))
        yield Slide(story_words.PLAIN, plain, f'<div class="pair one">{alone}</div>')
    alike = {name: run for name, run in shelf.items() if chosen is not None and _noise(run) == _noise(chosen)}
    erased = _first(shelf, CONCEPT)
    for title, run, said in (
        (story_words.RANDOM, _first(alike, RANDOM), story_words.RANDOM_SAID),
        (story_words.CHOSEN, chosen, story_words.CHOSEN_SAID),
        (story_words.CONCEPT, erased, story_words.concept(_concept(erased)) if erased else ""),
    ):
        if run is not None:
            yield Slide(title, f"{said} {_facts(run)}", _pair(run, titles))
    raced = next(iter(race.shipped_races().values()), None)
    if raced is not None:
        yield Slide(race_words.TITLE, race.verdict(raced, titles), race.share(raced, titles))


def _first(shelf: Mapping[str, Run], methods: tuple[str, ...]) -> Run | None:
    """The first run with both pictures of the first method that has any."""
    found = [run for run in shelf.values() if run.base_image is not None and run.request.method in methods]
    return min(found, key=lambda run: methods.index(run.request.method), default=None)


def _noise(run: Run) -> tuple:
    """What the unmasked picture depends on."""
    asked = run.request
    return asked.model, asked.prompt, asked.negative_prompt, asked.seed, asked.steps, asked.guidance


def _concept(run: Run) -> str:
    """What a kept mask erases, such as red of erase_red."""
    return str(run.settings.get("mask", "")).partition("_")[2]


def _pair(run: Run, titles: Mapping[str, str]) -> str:
    names = pictures.names(run, titles)
    return pictures.pair(run.base_image, run.result_image, names, run.request.prompt, size=512)


def _facts(run: Run) -> str:
    """Prompt, share removed and rewards of a run."""
    rewards = tuple(each.get("total") for each in (run.base_rewards, run.rewards))
    return story_words.facts(run.request.prompt, plots.percent(1 - run.keep_ratio), rewards)
