"""python -m maskunet table 1 to 4 or video, figure 9b: make a table of the paper anew, with everything it needs."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from maskunet import plugins
from maskunet.commands.base import (
    CommandSpec,
    ModelOptions,
    UsageError,
    bar,
    command_line,
    follow,
    key_value,
    make_folder,
    option,
    resumable,
)

if TYPE_CHECKING:
    from maskunet.experiments.tables.binding import BindingTable
    from maskunet.experiments.tables.world import World
    from maskunet.library.library import Loaded
    from maskunet.tabletop.tasks import Case

VIDEO = "video"
NUMBERS = ("1", "2", "3", "4", VIDEO)
BINDING = ("2", "3")  # they train nothing
PICTURES, BINDING_PICTURES, VIDEOS = 500, 60, 4
PICTURES_HELP = (
    f"per row and seed, {PICTURES} if left out; of tables 2 and 3 per task too, {BINDING_PICTURES}; videos {VIDEOS}; torchrun and "
    "accelerate launch take --n for one of theirs"
)
REAL = (
    "Tables 2 and 3 are one command on tabletop only. With real files make the pictures of each row with "
    "python -m maskunet sample and judge them with python -m maskunet benchmark; docs/results/tables/README.md has the commands."
)

NO_VIDEOS = (
    "The table of videos is for tabletop, whose checker reads every frame. Make one with python -m maskunet video."
)


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    kind: ClassVar[str] = "table"

    number: str = option(choices=NUMBERS, positional=True)
    model: str = option("tabletop", "base model")
    coco: Path | None = option(None, "COCO's pictures, such as val2017", metavar="DIR")
    laion: Path | None = option(None, "what other models than tabletop train on", metavar="DIR")
    extractor: str = option(
        "inception", "of features, beside COCO", choices=plugins.names("maskunet.evaluation.extractors")
    )
    features: Path | None = option(None, "weights of the extractor: file or folder", metavar="PATH")
    clip: Path | None = option(None, "a CLIP for the CLIP score, beside COCO", metavar="DIR")
    latents: Path | None = option(None, "cached latents of the tabletop scenes", metavar="DIR")
    guidance: float | None = option(None, "guidance scale; the model's, or the paper's 7.5", low=1, high=30)
    steps: int = option(0, "optimizer steps of every row; the preset's if left out", low=0)
    pictures: int | None = option(None, PICTURES_HELP, low=1, also="n", metavar="N")
    seeds: int = option(3, "trainings, or noises per prompt, of each row", low=1)
    set: dict[str, Any] = option({}, metavar="KEY=VALUE", read=key_value, repeat=dict)
    out: Path = option(writes="folder", help="folder; give it again to go on")


def run(options: Options) -> None:
    """Make the table, or go on with it; Ctrl+C keeps what is done.

    Raises:
        ValueError: data are missing, or the folder was begun otherwise; says what to do.
    """
    usual = {VIDEO: VIDEOS, **dict.fromkeys(BINDING, BINDING_PICTURES)}.get(options.number, PICTURES)
    least = 4 if usual == PICTURES else 1
    if options.pictures is not None and options.pictures < least:
        raise UsageError(f"--pictures must be at least {least}")
    options = replace(options, pictures=options.pictures or usual)
    if options.number == VIDEO:
        _videos(options)
    elif options.number in BINDING:
        _bound(options)
    else:
        _trained(options)


def _trained(options: Options) -> None:
    """The tables that train."""
    from maskunet import machine
    from maskunet.experiments.tables import report
    from maskunet.experiments.tables.make import Budget, Share, make, measure, wait_for_all
    from maskunet.experiments.tables.specs import SPECS

    spec, share = SPECS[f"{options.kind}_{options.number}"], Share(*machine.place())
    world = _world(options)
    budget = Budget(steps=options.steps, pictures=options.pictures, seeds=range(options.seeds), changes=options.set)
    with (
        resumable() as should_stop,
        bar("", shown=share.rank == 0, bar_format="{desc} [{elapsed}]") as line,
    ):
        for text in make(spec, world, budget, options.out, share, should_stop):
            line.set_description_str(text)
        if should_stop():
            return
        wait_for_all(share)
        if share.rank > 0:
            return
        for found in measure(spec, world, budget, options.out):
            if isinstance(found, str):
                line.set_description_str(found)
    lines = report.save(options.out, spec, found, _about(options, world))
    sys.stdout.write(report.markdown(spec, lines, _about(options, world)))


def _embedded(options: Options) -> bool:
    """Whether the model is one that comes with its own world, and nothing else was given."""
    from maskunet.models import SPECS

    embedded = options.model in SPECS and SPECS[options.model].embedded
    return embedded and not (options.weights or options.coco or options.laion)


def _world(options: Options) -> "World":
    from maskunet import machine
    from maskunet.experiments.tables import world
    from maskunet.library import networks
    from maskunet.library.library import Library

    if _embedded(options):
        library = Library(options.model, device=machine.device_of(options.device), **options.added)
        return world.tabletop(library.load(library.default), options.latents, options.guidance)
    if not (options.coco and options.laion):
        raise UsageError("other models than tabletop need --coco DIR to measure against and --laion DIR to train on")
    library = Library(options.model, options.weights, machine.device_of(options.device), **options.added)
    loaded = library.load(library.default, with_rewards=False)
    extractor = networks.extractor(options.extractor, options.features, loaded.model.device.type)
    return world.coco(loaded, options.coco, str(options.laion), extractor, options.clip, options.guidance)


def _about(options: Options, world: "World") -> dict[str, Any]:
    from maskunet.machine import versions

    model, request = world.loaded.model, world.request
    return {
        "command": command_line(options.kind, options), "model": model.name, "weights": dict(model.weights),
        "device": model.device.type,
        "guidance": model.guidance if request.guidance is None else request.guidance,
        "steps": request.steps or model.steps, "reference": world.reference.name,
        "extractor": world.extractor.name, "agreement": world.agreement_title, "versions": versions(),
    }  # fmt: skip


def _bound(options: Options) -> None:
    """The tables that train nothing: this process's share of what is missing, and the table of what there is."""
    from maskunet import machine
    from maskunet.experiments import judges
    from maskunet.experiments.study import subjects
    from maskunet.experiments.tables import binding

    _check_trains_nothing(options, REAL, "tables 2 and 3 train")
    table = binding.TABLES[options.number]
    rank, world = machine.place()
    pairs = subjects(",".join(table.tasks.values()), n=options.pictures, seeds=options.seeds)
    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    guidance = loaded.model.guidance if options.guidance is None else options.guidance
    about = {**identity, "guidance": guidance}
    make_folder(options.out)
    mine = [pair for number, pair in enumerate(pairs) if number // len(table.tasks) % world == rank]
    _make(options, loaded, list(table.rows()), mine, about, rank)
    wanted = {(case.prompt, seed) for case, seed in pairs}  # the folder may have more, of the other table
    every = [row for row in _rows(options, about) if (row["prompt"], row["seed"]) in wanted]
    if rank == 0 or len({_key(row) for row in every}) == len(pairs) * len(table.rows()):
        _report(options, table, about, every)


def _check_trains_nothing(options: Options, otherwise: str, what: str) -> None:
    if not _embedded(options):
        raise UsageError(otherwise)
    if options.set or options.steps:
        raise UsageError(f"{what} nothing; leave out --set and --steps")


def _videos(options: Options) -> None:
    """The table of videos: what is missing of it, each video on disk at once, and the table of what there is."""
    from maskunet.experiments import journal, judges
    from maskunet.experiments.study import subjects
    from maskunet.experiments.tables import video, video_report
    from maskunet.machine import versions
    from maskunet.records import Request
    from maskunet.records.video import Motion

    _check_trains_nothing(options, NO_VIDEOS, "the table of videos trains")
    pairs = subjects(",".join(video.TASKS), n=options.pictures, seeds=options.seeds)
    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    model, motion = loaded.model, Motion()
    guidance = model.guidance if options.guidance is None else options.guidance
    t0, t1 = model.video_times
    about = {**identity, "guidance": guidance, "frames": motion.frames, "right": motion.right, "t0": t0, "t1": t1}
    make_folder(options.out)
    path = options.out / "videos.jsonl"
    done = journal.resume(path, about, "table")
    asked = Request(prompt="-", model=model.name, guidance=guidance)
    keys = {(name, case.task, case.prompt, seed) for case, seed in pairs for name in video.WAYS}
    with resumable() as should_stop:
        made = video.make(loaded, asked, motion, pairs, done, should_stop)
        follow(journal.kept(made, path), _key, keys & set(map(_key, done)), unit="video", total=len(keys), shown=True)
    rows = [row for row in journal.read(path, about, "table") if _key(row) in keys]
    lines = video.summarize(rows)
    finished = "all of them" if len(rows) == len(keys) else f"stopped before all {len(pairs)} were made"
    about |= {"command": command_line(options.kind, options), "finished": finished, "versions": versions()}
    video_report.save(options.out, lines, about)
    sys.stdout.write(video_report.markdown(lines, about))


def _make(
    options: Options,
    loaded: "Loaded",
    names: Sequence[str],
    subjects: "Sequence[tuple[Case, int]]",
    about: Mapping[str, Any],
    rank: int,
) -> None:
    """Run until this process's share is made or Ctrl+C is pressed; every row is on disk at once."""
    from maskunet.experiments import journal
    from maskunet.experiments.tables import binding
    from maskunet.records import Request

    path = options.out / f"binding-{rank}.jsonl"
    journal.resume(path, about, "table")
    done = _rows(options, about)
    asked = Request(prompt="-", model=loaded.model.name, guidance=about["guidance"])
    keys = {(name, case.task, case.prompt, seed) for case, seed in subjects for name in names}
    before = keys & {_key(row) for row in done}
    with resumable() as should_stop:
        made = binding.make(loaded, asked, names, subjects, done=done, should_stop=should_stop)
        follow(journal.kept(made, path), _key, before, unit="image", total=len(keys), shown=rank == 0)


def _key(row: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return row["row"], row["task"], row["prompt"], row["seed"]


def _rows(options: Options, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What all processes have made, for either table: rows that both have are made once."""
    from maskunet.experiments import journal

    files = sorted(options.out.glob("binding-*.jsonl"))
    return [row for path in files for row in journal.read(path, about, "table")]


def _report(options: Options, table: "BindingTable", about: Mapping[str, Any], every: list[dict[str, Any]]) -> None:
    from maskunet.experiments.tables import binding, binding_report
    from maskunet.machine import versions

    lines = binding.summarize(table, every)
    asked = options.pictures * options.seeds
    n = min(share["n"] for share in lines[0]["tasks"].values())
    finished = "all of them" if n >= asked else f"stopped before all {asked} were made"
    made = {"command": command_line(options.kind, options), "finished": finished, "versions": versions()}
    about = {**about, **made}
    binding_report.save(options.out, options.number, table, lines, about)
    sys.stdout.write(binding_report.markdown(table, lines, about))


SPEC = CommandSpec(name="table", title=f"make the paper's table {', '.join(NUMBERS)} anew", options=Options, run=run)
