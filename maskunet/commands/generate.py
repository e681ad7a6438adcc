"""python -m maskunet generate: make a picture, and the plain one beside it."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import CommandSpec, MethodOptions, UsageError, agree, bar, check_repeats, option

if TYPE_CHECKING:
    from maskunet.models.base import DiffusionModel
    from maskunet.records import Request, Run

# What a repeated run may be told: where it is and goes, and what is put on the model as it was then.
FREE = ("replay", "out", "weights", "device", "lora", "lora_masks", "embedding", "keep_masks", "yes", "no_base")
ASK = 0.5e9  # bytes of kept masks above which someone must agree


@dataclass(frozen=True, kw_only=True)
class Options(MethodOptions):
    prompt: str | None = option(None, "what the picture should show", one_of="source")
    replay: Path | None = option(None, "a run.json or a run's PNG", metavar="FILE", one_of="source")
    negative_prompt: str = option("", "what to steer away from")
    keep_masks: bool = option(False, "save masks.safetensors too")
    yes: bool = option(False, f"agree to the disk that masks of more than {ASK / 1e9:.1f} GB take")
    no_base: bool = option(False, "do not make the plain picture")
    out: Path = option(writes="folder", help="folder for the run")


def run(options: Options) -> None:
    """Make the pictures of a prompt, or those of an earlier run again, and write the run's folder.

    Raises:
        ValueError: what was asked for cannot be made, or not with what is here; says what to do.
    """
    from maskunet.records import added
    from maskunet.runs import replay, run_folder

    run_folder.check_place(options.out)
    record: dict[str, Any] = {}
    if options.replay:
        record = _record(options.replay)
        request = replay.request_of(record)
        check_repeats(options, FREE, {**asdict(request), "set": dict(request.settings)})
        request = replace(request, keep_masks=request.keep_masks or options.keep_masks)
    else:
        more = {"negative_prompt": options.negative_prompt, "keep_masks": options.keep_masks}
        request = options.request(options.prompt, **more)
    from maskunet.methods import method_of
    from maskunet.methods.base.spec import filled

    spec = method_of(request.method)
    request = replay.as_made(request, record.get("settings"), spec.presets)
    settings = spec.settings(request.preset, request.settings)
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.library.library import Library
    from maskunet.machine import interruptible, versions
    from maskunet.runs.compare import compare
    from maskunet.runs.draft import Draft

    library = Library(request.model, options.weights, options.device, **options.added)
    if spec.needs_rewards:
        library.find(library.default)
    loaded = library.load(library.default)
    _check_there(options.out, filled(request, spec, loaded.model))
    if request.keep_masks:
        _agree(options, loaded.model, request)
    if record:
        added.check(request.added, loaded.model.added)
        replay.check_replay(record, loaded.model.name, spec.weights(loaded.model, settings, loaded.rewards))
        if note := replay.other_versions(record, {**versions(), **loaded.rewards.versions}):
            sys.stderr.write(f"{note}\n")
    with_base = not options.no_base and record.get("base_unet_calls") != 0
    how = {"with_base": with_base, "draft": Draft(options.out)}
    with interruptible() as should_stop:
        events = compare(loaded.model, loaded.rewards, request, should_stop=should_stop, **how)
        made = _show(events, request.method)
    run_folder.write(made, options.out)
    _summary(made, options.out)


def _record(path: Path) -> dict[str, Any]:
    from maskunet.runs import replay

    try:
        with path.open("rb") as file:
            return replay.parse(file.read(replay.MAX_PICTURE + 1))
    except OSError as error:
        raise UsageError(f"“{path.name}” cannot be read") from error


def _check_there(folder: Path, request: "Request") -> None:
    """Refuse a folder with the run of another request; the very same one may be made again, as after an interruption.

    Raises:
        ValueError: another run would be lost.
    """
    from maskunet.runs import run_folder

    try:
        there = run_folder.read(folder).request
    except ValueError:  # no run that could be lost
        return
    if there != request:
        raise ValueError(f"The folder “{folder.name}” holds the run of another request. Give another --out.")


def _agree(options: Options, model: "DiffusionModel", request: "Request") -> None:
    """Tell what large masks take.

    Raises:
        UsageError: nobody agrees, or the disk has no room for them.
    """
    from maskunet.methods.base import mask_bytes

    size, free = mask_bytes(model, request), shutil.disk_usage(options.out.resolve().parent).free
    if size <= ASK:
        return
    said = f"the masks of this run take {size / 1e9:.1f} GB of {free / 1e9:.1f} GB free"
    if size > free:
        raise UsageError(f"{said}; leave --keep-masks out, or give another --out")
    agree(said, "keep", options.yes)


def _show(events: Iterator[tuple[str, Any]], method: str) -> "Run":
    """Draw a progress bar for each phase; returns the run, the last of what comes."""
    line, shown = None, ""
    try:
        for phase, item in events:
            if phase not in ("base", "result"):
                return item
            if phase != shown:
                if line is not None:
                    line.close()
                name = "plain" if phase == "base" else method
                line, shown = bar("step", item.steps, desc=name), phase
            line.n = item.steps if item.final else item.step
            update = [f"update {item.update}/{item.updates}"] if item.updates and not item.final else []
            reward = [f"reward {item.rewards['total']:.3f}"] if "total" in item.rewards else []
            line.set_postfix_str(", ".join(update + reward), refresh=False)
            line.refresh()
    finally:
        if line is not None:
            line.close()  # before an error is told, or the bar would be drawn once more below it
    raise AssertionError("a comparison ends in its run")


def _summary(run: "Run", out: Path) -> None:
    names = list(dict.fromkeys([*run.base_rewards, *run.rewards]))
    lines = [f"{run.state}: {out}", *([run.note] if run.note else [])]
    for name in names:
        pair = (run.base_rewards.get(name), run.rewards.get(name))
        before, after = ("-" if value is None else f"{value:.4f}" for value in pair)
        lines.append(f"{name:14s} plain {before:>9s}   {run.request.method} {after:>9s}")
    lines.append(
        f"seed {run.request.seed}, removed {1 - run.keep_ratio:.2%} of the weights at the masked sites, "
        f"{run.unet_calls} U-Net calls, {run.seconds:.1f} s"
    )
    sys.stdout.write("\n".join(lines) + "\n")


SPEC = CommandSpec(name="generate", title="make a picture, and the plain one beside it", options=Options, run=run)
