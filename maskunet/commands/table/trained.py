"""Tables 1 and 4 and Figure 9b, whose rows are trained."""

import sys
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import UsageError, bar, resumable
from maskunet.commands.table.options import Options, check_own, embedded, made_by

if TYPE_CHECKING:
    from maskunet.experiments.tables.world import World


def run(options: Options) -> None:
    """Train, make and measure what is missing, and tell the table."""
    from maskunet import machine
    from maskunet.experiments.tables import report
    from maskunet.experiments.tables.make import Budget, Share, make, measure, wait_for_all
    from maskunet.experiments.tables.specs import SPECS

    check_own(options)
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


def _world(options: Options) -> "World":
    from maskunet import machine
    from maskunet.experiments.tables import world
    from maskunet.library import networks
    from maskunet.library.library import Library

    if embedded(options):
        library = Library(options.model, device=machine.device_of(options.device), **options.added)
        return world.tabletop(library.load(library.default), options.latents, options.guidance)
    if not (options.coco and options.laion):
        raise UsageError("other models than tabletop need --coco DIR to measure against and --laion DIR to train on")
    library = Library(options.model, options.weights, machine.device_of(options.device), **options.added)
    loaded = library.load(library.default, with_rewards=False)
    extractor = networks.extractor(options.extractor, options.features, loaded.model.device.type)
    return world.coco(loaded, options.coco, str(options.laion), extractor, options.clip, options.guidance)


def _about(options: Options, world: "World") -> dict[str, Any]:
    model, request = world.loaded.model, world.request
    return {
        **made_by(options, model.name), "model": model.name, "weights": dict(model.weights),
        "device": model.device.type,
        "guidance": model.guidance if request.guidance is None else request.guidance,
        "steps": request.steps or model.steps, "reference": world.reference.name,
        "extractor": world.extractor.name, "agreement": world.agreement_title,
    }  # fmt: skip
