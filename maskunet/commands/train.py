"""python -m maskunet train: train a recipe on a base model, and go on where it was stopped."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet import plugins
from maskunet.commands.base import CommandSpec, ModelOptions, UsageError, bar, key_value, option

if TYPE_CHECKING:
    from tqdm import tqdm

    from maskunet.records.training import Preparing, TrainEvent
    from maskunet.training.recipes.base import Settings

RECIPES = ", ".join(plugins.names("maskunet.training.recipes"))
DATA = "tabletop, or a folder of pictures with captions, or a Parquet file with image and text; some recipes take a folder of your own pictures without captions"


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    recipe: str = option(help=f"what is trained: {RECIPES}; python -m maskunet recipes describes them", positional=True)
    preset: str = option("", "of the recipe; its first one if left out")
    data: str = option("tabletop", DATA)
    latents: Path | None = option(None, "cached latents of the tabletop scenes", metavar="DIR")
    set: dict[str, Any] = option(
        {},
        "of the recipe; python -m maskunet recipes RECIPE lists them",
        metavar="KEY=VALUE",
        read=key_value,
        repeat=dict,
    )
    instance_prompt: str = option(
        "", "DreamBooth: what your subject is called, such as a photo of sks dog", metavar="TEXT"
    )
    class_prompt: str = option("", "DreamBooth: prompt of the class pictures, such as a photo of a dog", metavar="TEXT")
    minutes: float | None = option(None, "save and end after so long", low=0.001)
    resume: bool = option(False, "go on with the training in --out")
    out: Path = option(writes="folder", help="folder for the trained part and its log")


def run(options: Options) -> None:
    """Train to the end, or until the minutes are over or Ctrl+C, which keep what was reached.

    Raises:
        ValueError: an unknown recipe, preset or setting, or data that cannot be used.
    """
    from maskunet import machine
    from maskunet.library.library import Library
    from maskunet.plugins import chosen
    from maskunet.training import loop, sources
    from maskunet.training.recipes import SPECS

    if options.recipe not in SPECS:
        raise UsageError(f"there is no recipe “{options.recipe}”; there are {', '.join(SPECS)}")
    spec = SPECS[options.recipe]
    prompts = {"instance_prompt": options.instance_prompt, "class_prompt": options.class_prompt}
    changes = {name: text for name, text in prompts.items() if text} | dict(options.set)
    settings = chosen(spec.presets, spec.name, options.preset, changes)
    library = Library(options.model, options.weights, machine.device_of(options.device), **options.added)
    model, rewards = library.load_to_train(library.default, spec.needs_rewards)
    pairs, about = sources.find(options.data, model.pixels, options.latents, own_pictures=spec.own_pictures)
    if machine.place()[0] == 0:
        sys.stderr.writelines(f"{note}\n" for note in pairs.notes)
    events = loop.train(
        model, spec, settings, pairs, options.out,
        about=about, rewards=rewards, resume=options.resume, minutes=options.minutes or math.inf,
    )  # fmt: skip
    last, stopped = _follow(events, shown=machine.place()[0] == 0)
    if machine.place()[0] == 0:
        said = _the_end(last, stopped) if last or stopped else [_has_had_all(options.out, settings)]
        sys.stderr.writelines(f"{line}\n" for line in said)


def _follow(events: "Iterator[TrainEvent | Preparing]", shown: bool) -> "tuple[TrainEvent | None, str]":
    """Run the training and tell its progress; returns its last step, if it had any, and why it was stopped, if it was."""
    from contextlib import closing

    from maskunet.machine import interruptible
    from maskunet.records.training import Preparing

    event = None
    with interruptible() as should_stop, closing(events), bar("step", shown=shown) as line:
        for news in events:
            if isinstance(news, Preparing):
                _prepared(news, line)
            else:
                event = news
                _stepped(event, line)
            if should_stop():
                break
        return event, should_stop()


def _has_had_all(out: Path, settings: "Settings") -> str:
    """What is told of a training that was resumed and had no step left."""
    from maskunet.training import checkpoint

    had = checkpoint.last_logged(out) or settings.steps
    said = f"The training in “{out.name}” has had all its {had:,} steps."
    if "steps" in checkpoint.MAY_CHANGE[settings.course]:
        return f"{said} To go on, give more of them: --set steps={2 * had}"
    return f"{said} Its learning rate, course={settings.course}, ends there; begin a longer one in another folder."


def _stepped(event: "TrainEvent", line: "tqdm") -> None:
    """Show how far the training is, and what a checkpoint measured."""
    line.total, line.n = event.steps, event.step
    line.set_postfix_str(f"loss {event.loss:.4f}")
    if event.checkpoint and not line.disable:
        figures = "  ".join(f"{name} {value:.4f}" for name, value in event.figures.items())
        line.write(f"step {event.step}: loss {event.loss:.4f}  {figures}", file=sys.stderr)


def _prepared(news: "Preparing", line: "tqdm") -> None:
    """Show how far the pictures are from which the training learns."""
    line.total, line.n = news.total, news.done
    line.set_postfix_str("prompts with pictures" if news.what == "prompts" else news.what)
    if news.note and not line.disable:
        line.write(news.note, file=sys.stderr)


def _the_end(event: "TrainEvent | None", stopped: str) -> list[str]:
    """What to know about a training that is over, which may have had no step."""
    if event is None:
        return [f"{stopped} The pictures that were made are kept for the next time."] if stopped else []
    lines = [f"{stopped} What was reached at step {event.step} of {event.steps} is kept."] if stopped else []
    lines += [event.note] if event.note else []
    return lines + event.left_out


SPEC = CommandSpec(
    name="train",
    title="train masks, or a baseline; stop it and go on with --resume",
    options=Options,
    run=run,
)
