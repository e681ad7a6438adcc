"""python -m maskunet table 1 to 4, figure 9b: make a table of the paper anew, with everything it needs."""

import argparse
import sys
from pathlib import Path
from typing import Any

from maskunet.commands import binding as binding_command
from maskunet.commands.features import EXTRACTORS

LAUNCHED = "torchrun and accelerate launch take --n for one of theirs"
TABLES, FIGURES = ("1", "2", "3", "4"), ("9b",)
BINDING = ("2", "3")  # they train nothing, see binding_command
DEFAULT_PICTURES = 500


def add(commands: Any, setting: Any) -> None:
    """Add the commands to an argparse object of subcommands; `setting` parses KEY=VALUE."""
    for kind, numbers in (("table", TABLES), ("figure", FIGURES)):
        parser = commands.add_parser(kind, help=f"make the paper's {kind} {', '.join(numbers)} anew")
        parser.add_argument("number", choices=numbers)
        parser.add_argument("--model", default="tabletop", help="base model")
        parser.add_argument("--weights", type=Path, metavar="DIR", help="a Stable Diffusion folder")
        parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")
        parser.add_argument("--coco", type=Path, metavar="DIR", help="COCO's pictures, such as val2017")
        parser.add_argument("--laion", metavar="DIR", help="what other models than tabletop train on")
        parser.add_argument(
            "--extractor", choices=EXTRACTORS, default="inception", help="of features, beside COCO"
        )
        parser.add_argument(
            "--features", type=Path, metavar="PATH", help="weights of the extractor: file or folder"
        )
        parser.add_argument("--clip", type=Path, metavar="DIR", help="a CLIP for the CLIP score, beside COCO")
        parser.add_argument(
            "--latents", type=Path, metavar="DIR", help="cached latents of the tabletop scenes"
        )
        parser.add_argument("--guidance", type=float, help="guidance scale; the model's, or the paper's 7.5")
        parser.add_argument(
            "--steps", type=int, default=0, help="optimizer steps of every row; the preset's if left out"
        )
        parser.add_argument(
            "--pictures", "--n", type=int, dest="n",
            help=f"per row and seed, {DEFAULT_PICTURES} if left out; of tables 2 and 3 per task too, 60; {LAUNCHED}",
        )  # fmt: skip
        parser.add_argument(
            "--seeds", type=int, default=3, help="trainings, or noises per prompt, of each row"
        )
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", type=setting)
        parser.add_argument("--out", type=Path, required=True, help="folder; give it again to go on")
        parser.set_defaults(command=run, kind=kind)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Make the table, or go on with it; Ctrl+C keeps what is done.

    Raises:
        ValueError: data are missing, or the folder was begun otherwise; says what to do.
    """
    binding = args.kind == "table" and args.number in BINDING
    if (args.n is not None and args.n < (1 if binding else 4)) or args.seeds < 1:
        parser.error(f"--pictures must be at least {1 if binding else 4} and --seeds at least 1")
    if binding:
        binding_command.run(args, parser)
    else:
        _trained(args, parser)


def _trained(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """The tables that train."""
    from tqdm import tqdm

    from maskunet import machine
    from maskunet.experiments.tables import make as tables
    from maskunet.experiments.tables import report
    from maskunet.experiments.tables.specs import SPECS
    from maskunet.machine import interruptible

    args.n = args.n or DEFAULT_PICTURES
    spec, share = SPECS[f"{args.kind}_{args.number}"], tables.Share(*machine.place())
    world = _world(args, parser)
    budget = tables.Budget(steps=args.steps, pictures=args.n, seeds=range(args.seeds), changes=dict(args.set))
    with (
        interruptible() as should_stop,
        tqdm(bar_format="{desc} [{elapsed}]", disable=share.rank > 0) as line,
    ):
        for text in tables.make(spec, world, budget, args.out, share, should_stop):
            line.set_description_str(text)
        if should_stop():
            sys.stderr.write("Stopped. Give the same command again to go on.\n")
            return
        tables.wait_for_all(share)
        if share.rank > 0:
            return
        for found in tables.measure(spec, world, budget, args.out):
            if isinstance(found, str):
                line.set_description_str(found)
    lines = report.save(args.out, spec, found, _about(args, world))
    sys.stdout.write(report.markdown(spec, lines, _about(args, world)))


def _world(args: argparse.Namespace, parser: argparse.ArgumentParser) -> Any:
    from maskunet import machine
    from maskunet.experiments.tables import world
    from maskunet.library import networks
    from maskunet.library.library import Library

    if args.model == "tabletop" and not (args.weights or args.coco or args.laion):
        loaded = Library("tabletop", device=machine.device_of(args.device)).load("tabletop")
        return world.tabletop(loaded, args.latents, args.guidance)
    if not (args.coco and args.laion):
        parser.error(
            "other models than tabletop need --coco DIR to measure against and --laion DIR to train on"
        )
    library = Library(args.model, args.weights, machine.device_of(args.device))
    loaded = library.load(library.default)
    extractor = networks.extractor(args.extractor, args.features, loaded.model.device.type)
    return world.coco(loaded, args.coco, args.laion, extractor, args.clip, args.guidance)


def _about(args: argparse.Namespace, world: Any) -> dict[str, Any]:
    from maskunet.machine import versions

    model, request = world.loaded.model, world.request
    flags = {"--model": args.model, "--pictures": args.n, "--seeds": args.seeds}
    flags |= {"--steps": args.steps} if args.steps else {}
    flags |= {"--guidance": args.guidance} if args.guidance is not None else {}
    sets = "".join(f" --set {name}={value}" for name, value in args.set)
    command = f"python -m maskunet {args.kind} {args.number} {' '.join(f'{k} {v}' for k, v in flags.items())}{sets} --out DIR"
    return {
        "command": command, "model": model.name, "weights": dict(model.weights), "device": model.device.type,
        "guidance": model.guidance if request.guidance is None else request.guidance,
        "steps": request.steps or model.steps, "reference": world.reference.name,
        "extractor": world.extractor.name, "agreement": world.agreement_title, "versions": versions(),
    }  # fmt: skip
