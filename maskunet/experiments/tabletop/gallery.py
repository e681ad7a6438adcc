"""Make the precomputed runs of the page; rules choose them, nobody's eye does."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from maskunet.records import Request, Run
from maskunet.tabletop.tasks import TASKS, cases

if TYPE_CHECKING:
    from maskunet.library.library import Loaded

log = logging.getLogger(__name__)

OF_TWO = ("two", "position", "color_attribution", "texture_attribution")  # tasks whose prompts name two things
PER_TASK = 8  # held-out prompts of each that the opening runs are chosen from
SEED = 1
ERASED_ON, ERASED = "tabletop", "erase_red"  # the model and its kept mask
START = ("a red cube and a blue sphere", 7)
VARIANTS = (  # seed, method, preset
    (2, "maskunet_free", "official"),
    (1, "maskunet_free", "improved"),
    (1, "random_mask", "start"),
    (1, "random_mask", "window"),
    (1, "random_mask", "magnitude"),
)


def make(folder: Path) -> None:
    """Make all of them: those that the page opens with, then `usual`, then those for the tour alone."""
    from maskunet.library.library import Library
    from maskunet.runs import run_folder

    library = Library("tabletop_web", device="cpu")
    loaded = library.load("tabletop_web")
    opens = [*opening(loaded)]
    toured = erased(library.load(ERASED_ON)), control(loaded, opens[0][1])
    for number, (kind, request, note) in enumerate([*opens, *usual(), *toured]):
        name = f"{number:02d}-{kind}-{request.method}-{request.preset}-{request.seed}"
        run = _made(library.load(request.model), request, hashlib.sha256(name.encode()).hexdigest()[:12])
        run_folder.write(replace(run, note=" ".join(filter(None, (note, run.note)))), folder / name)
        log.info("%s: %s", name, request.prompt)


def opening(loaded: "Loaded") -> Iterator[tuple[str, Request, str]]:
    """The runs that the page opens with, of the base raised on spoiled data under its embedded trained masks.

    Held-out prompts of two things are taken one of each task in turn, all from the same seed. Chosen are the first one
    whose unmasked picture the checker finds wrong and whose masked one right, the second such one, and the first the
    other way round. A run's note says so, and how many there were of both.
    """
    tried: list[tuple[Request, Run]] = []
    in_turn = chain.from_iterable(zip(*(cases(task, PER_TASK) for task in OF_TWO), strict=True))
    for prompt in dict.fromkeys(case.prompt for case in in_turn):
        request = Request(
            prompt=prompt, seed=SEED, model=loaded.model.name, method="maskunet_trained", preset="shared",
            previews=False, statistics=False,
        )  # fmt: skip
        tried.append((request, _made(loaded, request)))
    found = [(request, run.base_verdict["right"], run.verdict["right"]) for request, run in tried]
    mended = [request for request, before, after in found if after and not before]
    broken = [request for request, before, after in found if before and not after]
    tally = f"of {len(tried)} held-out prompts masks mended {len(mended)} and broke {len(broken)}"
    for which, kind, request in (
        ("first mended", "mended", mended[0]), ("second mended", "mended", mended[1]), ("first broken", "broken", broken[0])
    ):  # fmt: skip
        note = f"Chosen by rule: {tally}; this is the {which} one."
        yield kind, replace(request, previews=True, statistics=True), note


def usual() -> Iterator[tuple[str, Request, str]]:
    """The training-free method on the clean base: a prompt to start with, and the first held-out one of each task.

    Of color attribution's prompt also another seed, other presets and the random masks, all with their masks, so that
    they can be laid over each other.
    """
    prompt, seed = START
    yield "start", Request(prompt=prompt, seed=seed, method="maskunet_free", preset="official"), ""
    firsts = {task: cases(task, 1)[0].prompt for task in TASKS}
    variants = [(task, SEED, "maskunet_free", "official") for task in TASKS]
    for task, seed, method, preset in [*variants, *(("color_attribution", *variant) for variant in VARIANTS)]:
        keep = task == "color_attribution"
        yield task, Request(prompt=firsts[task], seed=seed, method=method, preset=preset, keep_masks=keep), ""


def erased(loaded: "Loaded") -> tuple[str, Request, str]:
    """One concept's mask on a held-out prompt of two colored things, for the tour.

    Of the prompts that name the concept, all from the same seed, the first one whose unmasked picture the checker finds
    right and in whose masked one it sees nothing of the concept. The note says of how many that holds.

    Raises:
        ValueError: it holds of none.
    """
    concept = ERASED.partition("_")[2]
    named = [case.prompt for case in cases("color_attribution", 100) if concept in case.prompt.split()]
    fits: list[tuple[Request, bool]] = []
    for prompt in list(dict.fromkeys(named))[:PER_TASK]:
        request = Request(
            prompt=prompt, seed=SEED, model=loaded.model.name, method="held_mask", preset="whole", previews=False,
            statistics=False, settings={"mask": ERASED},
        )  # fmt: skip
        run = _made(loaded, request)
        if run.base_verdict["right"]:
            fits.append((request, concept not in run.verdict["saw"].split()))
    gone = [request for request, away in fits if away]
    if not gone:
        raise ValueError(f"No picture lost its {concept} under {ERASED}. Make the mask again.")
    note = (
        f"Chosen by rule: of {len(fits)} held-out prompts whose unmasked picture is right, {len(gone)} lost their "
        f"{concept}; this is the first."
    )
    return "erased", replace(gone[0], previews=True, statistics=True), note


def control(loaded: "Loaded", request: Request) -> tuple[str, Request, str]:
    """The request with random masks instead of its own, which remove the same share of the weights, for the tour."""
    removed = round(1 - _made(loaded, request).keep_ratio, 3)
    return "control", replace(request, method="random_mask", preset="start", settings={"removed": removed}), ""


def _made(loaded: "Loaded", request: Request, run_id: str = "") -> Run:
    from maskunet.runs.compare import compare

    *_, (_, run) = compare(loaded.model, loaded.rewards, request, run_id=run_id)
    return run
