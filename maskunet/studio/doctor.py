"""Look over this machine before the lab is started: what it has, what will work here, and how fast."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import psutil
import torch

from maskunet import machine
from maskunet.failures import sentence
from maskunet.library import weights
from maskunet.library.library import Library, Loaded
from maskunet.machine import versions
from maskunet.masks.selection import chosen
from maskunet.masks.sites import listed
from maskunet.methods import SPECS
from maskunet.methods.maskunet_free import room
from maskunet.models import SPECS as MODELS
from maskunet.models.base import single_file
from maskunet.models.base.single_file.kinds import Kind
from maskunet.records import Request
from maskunet.runs.recorder import Stopped

# GB: tabletop with its page holds 1.5, and a run of it takes 1 MB on the disk and its zip another, 200 times.
MEMORY, DISK = 2.0, 0.5
# GB of a card at 512 px, its own state with it; measured, see docs/speed.md, "Memory".
CARD, SPARING = 12.0, 8.0
# Bytes of Stable Diffusion XL's networks with both rewards in half precision, those that work with little memory, and
# the rewards; counted, see docs/speed.md, "Memory".
XL, XL_SPARING, JUDGES = 9.81e9, 7.47e9, 2.87e9
HOST = "127.0.0.1"  # this computer alone
WEIGHTS, REWARDS = "Weights", "Rewards"
PROMPT = "a red cube and a blue sphere"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `good` is whether the lab can be used with it as it is."""

    name: str
    said: str
    good: bool = True


def examine(library: Library, port: int, place: Path, host: str = HOST) -> Iterator[Finding]:
    """Look at everything, the slow part last: the default model is loaded and makes a few steps.

    Args:
        host, port: where the page would listen. place: where its runs would go.
    """
    yield from look(library, place)
    yield address(port, host)
    yield speed(library)


def look(library: Library, place: Path) -> Iterator[Finding]:
    """Look at what can be seen at once, also while the lab runs."""
    yield Finding("Versions", ", ".join(f"{name} {number}" for name, number in versions().items()))
    yield Finding("Device", f"{machine.device_name(library.device)}, computing in {_dtype(library)}.")
    if library.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(library.device)
        ours = torch.cuda.memory_reserved(library.device)  # while the lab runs
        yield card((free + ours) / 1e9, needed=not library.spec(library.default).embedded)
        yield large()
    yield memory(psutil.virtual_memory().available / 1e9)
    yield disk(shutil.disk_usage(_existing(place)).free / 1e9)
    for model in library.cards():
        said = model.reason or f"{model.title} is here, {'without' if model.unscored else 'with'} its rewards."
        yield Finding(WEIGHTS, said, model.available or model.name != library.default)
    yield rewards()


def card(free: float, needed: bool) -> Finding:
    """Whether free gigabytes of a GPU hold Stable Diffusion and both rewards, if that is `needed`."""
    said = f"{free:.1f} GB are there for the lab. With both rewards Stable Diffusion at 512 px takes about {CARD:g} GB"
    if free < CARD:
        said += f", and {SPARING:g} with the switch for less memory (--set low_memory=true)"
    return Finding("Card", f"{said}.", free >= SPARING or not needed)


def large() -> Finding:
    """What masks on Stable Diffusion XL take, estimated from its configuration."""
    kind = Kind(name="sdxl", title="")
    configs = tuple(single_file.config_of(kind, part) for part in ("unet", "vae"))
    sites, side = listed(configs[0]), configs[0]["sample_size"]

    def takes(selection: str, networks: float, **how: bool) -> str:
        found = chosen(sites, selection)
        return f"{room.needed(configs, (side, side), found, networks=networks, judges=JUDGES, **how) / 1e9:.0f} GB"

    return Finding(
        "SDXL",
        f"Stable Diffusion XL has {len(sites)} sites with {sum(site.weights for site in sites):,} weights. An update of all "
        f"their masks takes about {takes('all', XL)}; with --set low_memory=true {takes('all', XL_SPARING, low_memory=True)}, "
        f"and with sites=block1 besides {takes('block1', XL_SPARING, low_memory=True)} (estimates; where less is there, "
        "fewer sites carry masks).",
    )


def memory(free: float) -> Finding:
    """Whether free gigabytes of memory are enough for tabletop."""
    more = f"Tabletop needs about {MEMORY:g} GB."
    return Finding("Memory", f"{free:.1f} GB are free. {more}", free >= MEMORY)


def disk(free: float) -> Finding:
    """Whether free gigabytes are enough for the runs."""
    more = f"The lab keeps 200 runs, up to {DISK:g} GB of tabletop's."
    return Finding("Disk", f"{free:.1f} GB are free for runs. {more}", free >= DISK)


def address(port: int, host: str = HOST) -> Finding:
    """Whether the page can listen there."""
    try:
        machine.check_listening(host, port)
    except ValueError as error:
        return Finding("Port", str(error), False)
    return Finding("Port", f"{port} is free." if host == HOST else f"{port} is free at {host}.")


def rewards() -> Finding:
    """Whether the reward checkpoints for Stable Diffusion are here, and what works without; tabletop has its own."""
    try:
        weights.reward_folders(MODELS["sd15"])
    except ValueError as error:
        steered = ", ".join(spec.name for spec in SPECS.values() if spec.needs_rewards)
        without = f"Without rewards nothing is scored, and every method works except {steered}."
        return Finding(REWARDS, f"{without} For Stable Diffusion: {error}")
    return Finding(REWARDS, "Those for Stable Diffusion are here.")


def speed(library: Library, should_stop: Callable[[], str] = str) -> Finding:
    """Make a few steps with the default model and say how long pictures will take.

    Args:
        should_stop: asked after every step; a sentence other than "" ends the work.

    Raises:
        Stopped: it was asked to stop.
    """
    try:
        loaded = library.load(library.default)
        step = _seconds(loaded, "plain", 3, should_stop)
        update = _seconds(loaded, "maskunet_free", 1, should_stop) if loaded.rewards else None
    except Stopped:
        raise
    except Exception as error:
        return Finding("Speed", f"{library.default} does not work here. {sentence(error)}", False)
    steps = loaded.model.steps
    said = (
        f"{library.default} works. Unmasked, a step takes {_told(step)} and a picture of {steps} steps "
        f"about {_told(steps * step)}"
    )
    if update is None:
        return Finding("Speed", f"{said}. Without rewards no mask can be optimized.")
    official = SPECS["maskunet_free"].settings("official")
    early = min(official.early_steps, steps)
    updates = early * official.early_updates + (steps - early) * official.updates
    return Finding(
        "Speed",
        f"{said}; an update of the masks takes {_told(update)} and a pair with the preset official "
        f"about {_told(steps * step + updates * update)}.",
    )


def _told(seconds: float) -> str:
    """Seconds as people read them; milliseconds where they are few."""
    if seconds < 0.1:
        return f"{1000 * seconds:.{0 if seconds >= 0.01 else 1}f} ms"
    return f"{seconds:.{2 if seconds < 1 else 1 if seconds < 10 else 0}f} s"


def _seconds(loaded: Loaded, method: str, steps: int, should_stop: Callable[[], str]) -> float:
    """The shortest time between two events of a method; the first one warms up."""
    settings: dict[str, Any] = {} if method == "plain" else {"updates": 3, "early_steps": 0}
    request = Request(prompt=PROMPT, model=loaded.model.name, method=method, steps=steps, previews=False)
    spec = SPECS[method]
    with closing(spec.run(loaded.model, loaded.rewards, request, spec.settings("", settings))) as events:
        times = []
        for event in islice(events, 3):
            times.append(event.seconds)
            if why := should_stop():
                raise Stopped(why)
    return min(after - before for before, after in pairwise(times))


def _dtype(library: Library) -> str:
    return str(library.dtype).removeprefix("torch.")


def _existing(place: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(folder for folder in (place.resolve(), *place.resolve().parents) if folder.is_dir())
