"""python -m maskunet generate: make a picture, and the plain one beside it."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maskunet.commands.base import request_of


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    from dataclasses import replace

    from maskunet.runs import replay, run_folder

    run_folder.check_place(args.out)
    record: dict[str, Any] = {}
    if args.replay:
        record = _record(args.replay, parser)
        request = replay.request_of(record)
        request = replace(request, keep_masks=request.keep_masks or args.keep_masks)
    else:
        request = request_of(
            args, args.prompt, negative_prompt=args.negative_prompt, keep_masks=args.keep_masks
        )
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.library.library import Library
    from maskunet.machine import interruptible, versions
    from maskunet.methods import method_of
    from maskunet.runs.compare import compare
    from maskunet.runs.draft import Draft

    library = Library(request.model, args.weights, args.device)
    loaded = library.load(library.default)
    if record:
        spec = method_of(request.method)
        used = spec.weights(loaded.model, spec.settings(request.preset, request.settings))
        replay.check_replay(record, loaded.model.name, used)
        if note := replay.other_versions(record, versions()):
            sys.stderr.write(f"{note}\n")
    with_base = not args.no_base and record.get("base_unet_calls") != 0
    how = {"with_base": with_base, "draft": Draft(args.out)}
    with interruptible() as should_stop:
        events = compare(loaded.model, loaded.rewards, request, should_stop=should_stop, **how)
        run = _show(events, request.method)
    run_folder.write(run, args.out)
    _summary(run, args.out)


def _record(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    from maskunet.runs import replay

    try:
        with path.open("rb") as file:
            return replay.parse(file.read(replay.MAX_PICTURE + 1))
    except OSError:
        parser.error(f"“{path.name}” cannot be read")


def _show(events: Iterator[tuple[str, Any]], method: str) -> Any:
    """Draw a progress bar for each phase; returns the run."""
    from tqdm import tqdm

    bar, shown = None, ""
    try:
        for phase, item in events:
            if phase not in ("base", "result"):
                return item
            if phase != shown:
                if bar is not None:
                    bar.close()
                name = "plain" if phase == "base" else method
                bar, shown = tqdm(total=item.steps, desc=name, unit="step", file=sys.stderr), phase
            bar.n = item.steps if item.final else item.step
            update = [f"update {item.update}/{item.updates}"] if item.updates and not item.final else []
            reward = [f"reward {item.rewards['total']:.3f}"] if "total" in item.rewards else []
            bar.set_postfix_str(", ".join(update + reward), refresh=False)
            bar.refresh()
    finally:
        if bar is not None:
            bar.close()  # before an error is told, or the bar would be drawn once more below it
    return None


def _summary(run: Any, out: Path) -> None:
    names = list(dict.fromkeys([*run.base_rewards, *run.rewards]))
    lines = [f"{run.state}: {out}", *([run.note] if run.note else [])]
    for name in names:
        pair = (run.base_rewards.get(name), run.rewards.get(name))
        before, after = ("-" if value is None else f"{value:.4f}" for value in pair)
        lines.append(f"{name:14s} plain {before:>9s}   {run.request.method} {after:>9s}")
    lines.append(
        f"removed {1 - run.keep_ratio:.2%} of the weights at the masked sites, "
        f"{run.unet_calls} U-Net calls, {run.seconds:.1f} s"
    )
    sys.stdout.write("\n".join(lines) + "\n")
