"""python -m maskunet COMMAND: one parser for all commands; imports wait for the command."""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from maskunet import (
    __version__,
    bench_command,
    benchmark_command,
    doctor_command,
    features_command,
    figures,
    race_command,
    sample_command,
    score_command,
    study_command,
    table_command,
    train_command,
)
from maskunet.environment import prepare


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence instead of the whole usage, and not all of a value that fills the screen."""
        self.exit(2, f"{self.prog}: {message:.400} (--help shows what is allowed)\n")


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 for what doctor found, or 2 for what the user can set right."""
    argv = sys.argv[1:] if argv is None else argv
    prepare()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if argv[:1] == ["tabletop"]:
        from maskunet.tabletop import commands

        return commands.main(argv[1:]) or 0
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        return args.command(args, parser) or 0
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    except Exception as error:
        from maskunet.failures import foreseen

        if not (message := foreseen(error)):
            raise
        sys.stderr.write(f"{message}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="maskunet", description="Masked diffusion U-Nets (MaskUNet).")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    generate = commands.add_parser("generate", help="make a picture, and the plain one beside it")
    source = generate.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompt", help="what the picture should show")
    source.add_argument("--replay", type=Path, metavar="FILE", help="a run.json or a run's PNG")
    _add_choices(generate)
    generate.add_argument("--negative-prompt", default="", help="what to steer away from")
    generate.add_argument("--seed", type=int, default=0)
    generate.add_argument("--keep-masks", action="store_true", help="save masks.safetensors too")
    generate.add_argument("--no-base", action="store_true", help="do not make the plain picture")
    generate.add_argument("--out", type=Path, required=True, help="folder for the run")
    generate.set_defaults(command=_generate)

    evaluate = commands.add_parser("evaluate", help="run the tabletop tasks with the checker")
    _add_choices(evaluate)
    evaluate.add_argument("--tasks", default="all", help="task names with commas, or all")
    evaluate.add_argument("--n", type=int, default=100, help="images per task")
    evaluate.add_argument("--seed", type=int, default=1)
    evaluate.add_argument(
        "--against", type=Path, action="append", default=[], metavar="DIR",
        help="an earlier evaluation to compare with, image by image",
    )  # fmt: skip
    evaluate.add_argument("--split", choices=("test", "train"), default="test")
    evaluate.add_argument("--out", type=Path, required=True, help="folder for the tables")
    evaluate.set_defaults(command=_evaluate)

    bench_command.add(commands)
    benchmark_command.add(commands)
    doctor_command.add(commands)
    features_command.add(commands)
    figures.add(commands)
    race_command.add(commands)
    sample_command.add(commands, _add_choices, _request)
    score_command.add(commands)
    study_command.add(commands)
    table_command.add(commands, _setting)
    train_command.add(commands, _setting)
    download = commands.add_parser("download", help="get weights that are not embedded")
    download.add_argument("name", help="a base model, rewards, tiny_decoder, or a benchmark")
    download.add_argument("--yes", action="store_true", help="agree to the download's size")
    download.set_defaults(command=_download)

    commands.add_parser("tabletop", help="make and train the embedded world (tabletop --help)")
    return parser


def _add_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="auto", help="base model; auto takes the best one here")
    parser.add_argument("--method", default="maskunet_free")
    parser.add_argument("--preset", default="", help="of the method; its first one if left out")
    parser.add_argument("--steps", type=int, help="denoising steps")
    parser.add_argument("--guidance", type=float, help="guidance scale; the model's if left out")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", type=_setting)
    parser.add_argument("--weights", type=Path, metavar="DIR", help="a Stable Diffusion folder")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"“{text}” is not KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _request(args: argparse.Namespace, prompt: str, **more: Any) -> Any:
    from maskunet.records import Request

    names = ("model", "method", "preset", "seed", "steps", "guidance")
    given = {name: getattr(args, name) for name in names}
    return Request(prompt=prompt, settings=dict(args.set), **given, **more)


def _generate(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    from dataclasses import replace

    from maskunet import replay, runs

    runs.check_place(args.out)
    record: dict[str, Any] = {}
    if args.replay:
        record = _record(args.replay, parser)
        request = replay.request_of(record)
        request = replace(request, keep_masks=request.keep_masks or args.keep_masks)
    else:
        request = _request(
            args, args.prompt, negative_prompt=args.negative_prompt, keep_masks=args.keep_masks
        )
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.compare import compare, method_of
    from maskunet.draft import Draft
    from maskunet.interrupt import interruptible
    from maskunet.library import Library
    from maskunet.recorder import versions

    library = Library(request.model, args.weights, args.device)
    loaded = library.load(library.default)
    if record:
        spec = method_of(request.method)
        used = spec.weights(loaded.model, spec.settings(request.preset, request.settings))
        replay.check_replay(record, loaded.model.name, used)
        if note := replay.other_versions(record, versions()):
            print(note, file=sys.stderr)
    with_base = not args.no_base and record.get("base_unet_calls") != 0
    how = {"with_base": with_base, "draft": Draft(args.out)}
    with interruptible() as should_stop:
        events = compare(loaded.model, loaded.rewards, request, should_stop=should_stop, **how)
        run = _show(events, request.method)
    runs.write(run, args.out)
    _summary(run, args.out)


def _record(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    from maskunet import replay

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


def _evaluate(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    from dataclasses import asdict

    from tqdm import tqdm

    from maskunet import evaluate, judged
    from maskunet.compare import filled, method_of
    from maskunet.recorder import versions

    if args.n < 1:
        parser.error("--n must be at least 1")
    request = _request(args, "-")
    spec = method_of(request.method)
    found = judged.load(args)
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


def _download(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    from maskunet import download

    plan = download.plan(args.name)
    agreed = args.yes
    if not agreed and sys.stdin.isatty():
        answer = input(f"{plan.title}: {plan.gigabytes:.2f} GB to {plan.place}. Download? [y/N] ")
        agreed = answer.strip().lower() in ("y", "yes")
    download.download(args.name, consent=agreed)
    sys.stdout.write(f"{plan.title} is on this machine.\n")


if __name__ == "__main__":
    sys.exit(main())
