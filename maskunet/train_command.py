"""python -m maskunet train: train a recipe on a base model, and go on where it was stopped."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: Any, setting: Any) -> None:
    """Add the command to an argparse object of subcommands; `setting` parses KEY=VALUE."""
    parser = commands.add_parser("train", help="train masks, or a baseline; stop it and go on with --resume")
    parser.add_argument("recipe", help="what is trained: " + "mask_generator, lora or full")
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
    parser.add_argument("--resume", action="store_true", help="go on with the training in --out")
    parser.add_argument("--out", type=Path, required=True, help="folder for the trained part and its log")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Train to the end, or until Ctrl+C, which keeps what was reached.

    Raises:
        ValueError: an unknown recipe, preset or setting, or data that cannot be used.
    """
    from contextlib import closing

    from tqdm import tqdm

    from maskunet.library import Library
    from maskunet.settings import chosen
    from maskunet.training import loop
    from maskunet.training.recipes import SPECS

    if args.recipe not in SPECS:
        parser.error(f"there is no recipe “{args.recipe}”; there are {', '.join(SPECS)}")
    spec = SPECS[args.recipe]
    settings = chosen(spec.presets, spec.name, args.preset, dict(args.set))
    library = Library(args.model, args.weights, args.device)
    model = library.load_alone(library.default)
    pairs = _pairs(args, model)
    about = {"data": args.data if args.data == "tabletop" else Path(args.data).name, "examples": len(pairs)}
    events = loop.train(model, spec, settings, pairs, args.out, about=about, resume=args.resume)
    with closing(events), tqdm(unit="step", file=sys.stderr) as bar:
        try:
            for event in events:
                bar.total, bar.n = event.steps, event.step
                bar.set_postfix_str(f"loss {event.loss:.4f}")
                if event.checkpoint:
                    figures = "  ".join(f"{name} {value:.4f}" for name, value in event.figures.items())
                    bar.write(f"step {event.step}: loss {event.loss:.4f}  {figures}", file=sys.stderr)
        except KeyboardInterrupt:
            bar.write("Stopping; what was reached is kept.", file=sys.stderr)


def _pairs(args: argparse.Namespace, model: Any) -> Any:
    from maskunet.training import data

    if args.data == "tabletop":
        from maskunet.tabletop.pairs import Tabletop

        return Tabletop(latents=args.latents)
    path, size = Path(args.data), model.latent_shape[-1] * 2 ** (len(model.vae.config.block_out_channels) - 1)
    if path.is_dir():
        return data.Folder(path, size)
    if path.is_file():
        return data.Table(path, size)
    raise ValueError(f"“{path.name}” is neither tabletop, nor a folder, nor a Parquet file.")
