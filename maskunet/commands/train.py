"""python -m maskunet train: train a recipe on a base model, and go on where it was stopped."""

import argparse
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def add(commands: Any, setting: Any) -> None:
    """Add the command to an argparse object of subcommands; `setting` parses KEY=VALUE."""
    parser = commands.add_parser("train", help="train masks, or a baseline; stop it and go on with --resume")
    parser.add_argument("recipe", help="what is trained, such as mask_generator; a wrong name lists them")
    parser.add_argument("--preset", default="", help="of the recipe; its first one if left out")
    parser.add_argument("--model", default="auto", help="base model; auto takes the best one here")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="a Stable Diffusion folder")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")
    parser.add_argument(
        "--data", default="tabletop",
        help="tabletop, or a folder with metadata.jsonl, or a Parquet file with image and text",
    )  # fmt: skip
    parser.add_argument("--latents", type=Path, metavar="DIR", help="cached latents of the tabletop scenes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", type=setting)
    parser.add_argument("--minutes", type=float, default=math.inf, help="save and end after so long")
    parser.add_argument("--resume", action="store_true", help="go on with the training in --out")
    parser.add_argument("--out", type=Path, required=True, help="folder for the trained part and its log")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Train to the end, or until the minutes are over or Ctrl+C, which keep what was reached.

    Raises:
        ValueError: an unknown recipe, preset or setting, or data that cannot be used.
    """
    from maskunet import machine
    from maskunet.library.library import Library
    from maskunet.plugins import chosen
    from maskunet.training import loop, sources
    from maskunet.training.recipes import SPECS

    if args.recipe not in SPECS:
        parser.error(f"there is no recipe “{args.recipe}”; there are {', '.join(SPECS)}")
    if not args.minutes > 0:
        parser.error("--minutes must be more than 0")
    spec = SPECS[args.recipe]
    settings = chosen(spec.presets, spec.name, args.preset, dict(args.set))
    library = Library(args.model, args.weights, machine.device_of(args.device))
    model, rewards = library.load_to_train(library.default, spec.needs_rewards)
    size = model.latent_shape[-1] * 2 ** (len(model.vae.config.block_out_channels) - 1)
    pairs, about = sources.find(args.data, size, args.latents)
    events = loop.train(
        model, spec, settings, pairs, args.out,
        about=about, rewards=rewards, resume=args.resume, minutes=args.minutes,
    )  # fmt: skip
    _follow(events, shown=os.environ.get("RANK", "0") == "0")


def _follow(events: Iterator[Any], shown: bool) -> None:
    """Run the training, tell its progress, and in the end what was left out."""
    from contextlib import closing

    from tqdm import tqdm

    from maskunet.machine import interruptible

    event = None
    with interruptible() as should_stop, closing(events), tqdm(unit="step", disable=not shown) as bar:
        for event in events:
            bar.total, bar.n = event.steps, event.step
            bar.set_postfix_str(f"loss {event.loss:.4f}")
            if event.checkpoint and shown:
                figures = "  ".join(f"{name} {value:.4f}" for name, value in event.figures.items())
                bar.write(f"step {event.step}: loss {event.loss:.4f}  {figures}", file=sys.stderr)
            if should_stop():
                break
        stopped = should_stop()
    if event is not None and shown:
        for line in _the_end(event, stopped):
            sys.stderr.write(f"{line}\n")


def _the_end(event: Any, stopped: str) -> list[str]:
    """What to know about a training that is over."""
    lines = [f"{stopped} What was reached at step {event.step} of {event.steps} is kept."] if stopped else []
    lines += [event.note] if event.note else []
    return lines + [f"{n} pictures were left out: {reason}." for reason, n in event.skipped.items()]
