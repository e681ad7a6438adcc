"""What commands share: the choice of model, method and settings, and the request made of it."""

import argparse
import json
from pathlib import Path
from typing import Any


def add_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="auto", help="base model; auto takes the best one here")
    parser.add_argument("--method", default="maskunet_free")
    parser.add_argument("--preset", default="", help="of the method; its first one if left out")
    parser.add_argument("--steps", type=int, help="denoising steps")
    parser.add_argument("--guidance", type=float, help="guidance scale; the model's if left out")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", type=setting)
    parser.add_argument("--weights", type=Path, metavar="DIR", help="a Stable Diffusion folder")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")


def setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"“{text}” is not KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def request_of(args: argparse.Namespace, prompt: str, **more: Any) -> Any:
    from maskunet.records import Request

    names = ("model", "method", "preset", "seed", "steps", "guidance")
    given = {name: getattr(args, name) for name in names}
    return Request(prompt=prompt, settings=dict(args.set), **given, **more)
