"""python -m maskunet evaluate: run the tabletop tasks with the checker."""

import argparse
import sys

from maskunet.commands.base import request_of


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    from dataclasses import asdict

    from tqdm import tqdm

    from maskunet.experiments import evaluate, judges
    from maskunet.machine import versions
    from maskunet.methods import method_of
    from maskunet.methods.base import filled

    if args.n < 1:
        parser.error("--n must be at least 1")
    request = request_of(args, "-")
    spec = method_of(request.method)
    found = judges.load(args.model, args.weights, args.device)
    request = filled(request, spec, found.loaded.model)
    settings = spec.settings(request.preset, request.settings)
    rows = []
    for row in tqdm(
        evaluate.evaluate(
            found.loaded.model, found.loaded.rewards, found.checker, request,
            tasks=args.tasks, n=args.n, seed=args.seed, split=args.split,
        ),
        unit="image", file=sys.stderr,
    ):  # fmt: skip
        rows.append(row)
    about = {
        "request": {k: v for k, v in asdict(request).items() if k not in ("prompt", "seed")},
        "settings": asdict(settings),
        "tasks": args.tasks, "n": args.n, "seed": args.seed, "split": args.split,
        "device": found.about["device"], "versions": versions(), "weights": found.loaded.model.weights,
    }  # fmt: skip
    evaluate.save(args.out, rows, about)
    sys.stdout.write(evaluate.table(evaluate.summarize(rows)) + "\n")
    for folder in args.against:
        sys.stdout.write(
            evaluate.paired_line(folder.name, evaluate.paired(rows, evaluate.load(folder))) + "\n"
        )
