"""A short training told event by event; `serve` does it in a process of its own."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from maskunet.records.training import BaseSamples, Preparing, TrainEvent
from maskunet.studio.process import tell
from maskunet.training.recipes import SPECS
from maskunet.training.recipes.base import RecipeSpec, Settings

DATA = "tabletop"  # the source of the pictures
NICE = 10  # how far a training steps back behind pictures that are made at the same time


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the base model is: the arguments of `Library`, which itself cannot go to another process."""

    model: str = "auto"
    weights: Path | None = None
    device: str | None = None
    models: Path | None = None


def serve(
    pipe: Connection, place: Place, model: str, recipe: str, settings: Settings, out: Path, pictures: Path | None = None
) -> None:
    """Tell what `work` does, at a lower priority.

    Whatever comes up the pipe stops the training after its current step; so does its other end's death.
    """
    if hasattr(os, "nice"):
        os.nice(NICE)
    tell(pipe, work(place, model, SPECS[recipe], settings, out, pipe.poll, pictures=pictures))


def work(
    place: Place,
    name: str,
    spec: RecipeSpec,
    settings: Settings,
    out: Path,
    should_stop: Callable[[], bool],
    *,
    pictures: Path | None = None,
) -> Iterator[BaseSamples | Preparing | TrainEvent]:
    """Sample the base model, then train on tabletop scenes or on the user's own pictures; closing the iterator keeps what was reached.

    A training that was stopped tells its last step twice, the second time as the checkpoint it became.

    Args:
        name: of the base model.
        out: receives what `loop.train` writes.
        should_stop: asked after every step.
        pictures: folder of the user's, for a recipe that learns from it.

    Raises:
        ValueError: the base model cannot be used, or as `loop.train`.
    """
    from maskunet.library.library import Library
    from maskunet.training import loop, sheet, sources
    from maskunet.training.data import Feed
    from maskunet.training.recipes.base import UNet

    library = Library(place.model, place.weights, place.device, models=place.models)
    model, rewards = library.load_to_train(name, spec.needs_rewards)
    pairs, about = sources.find(str(pictures or DATA), model.pixels, own_pictures=spec.own_pictures)
    feed = Feed(pairs, settings.seed)
    captions = loop.shown(spec, settings, feed)
    asked = [spec.before(settings, text) for text in captions] if spec.before else captions
    picture = sheet.draw(model, UNet(model.unet), asked)
    notes = tuple(pairs.notes) if spec.own_pictures else ()
    yield BaseSamples(sheet=picture, captions=tuple(captions), held_out=len(pairs) - len(feed), notes=notes)
    with closing(loop.train(model, spec, settings, pairs, out, about=about, rewards=rewards)) as events:
        for event in events:
            yield event
            if should_stop():
                break
    if isinstance(event, TrainEvent) and not event.final:
        yield replace(event, checkpoint=True, final=True, sheet=_sheet(out, event.step))


def _sheet(out: Path, step: int) -> np.ndarray:
    from PIL import Image

    with Image.open(out / f"samples-{step}.png") as picture:
        return np.array(picture.convert("RGB"))
