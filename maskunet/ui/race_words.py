"""Every label and message of the Race tab."""

import re
from collections.abc import Mapping

TITLE, COMMAND = "Does it help at equal time?", "Copy command"
SHARE, HELD = "share correct", "held-out reward"
BUDGETS = {"equal_time": "Equal time", "equal_calls": "Equal U-Net calls"}
BUDGET, GROUP, PROMPT = "Budget", "Prompts", "Pictures of"
SECONDS = "seconds, logarithmic"
TABLE = "Every method"
HEAD = (
    "method",
    "correct",
    "any of N correct",
    "points against plain",
    "fixed / broken",
    "p",
    "Holm’s p",
    "optimized reward",
    "held-out reward",
    "against plain",
    "pictures",
    "seconds",
    "U-Net calls",
)
HINT = "Brackets: 95 % intervals; p: sign test."
KINDS = {"masks": "masks", "control": "controls", "rival": "rivals"}
OVER, OVER_HINT = "overspent", "Overspent: over 5 % too long, not compared."
EMPTY = "No race came with this copy of the project."


def said(prompts: int, different: int, asked: int, seconds: float, optimized: str, held_out: str) -> str:
    """What a race compared. Two of its prompts may have the same text."""
    unfinished = f" It was stopped before all {asked} prompts were done." if prompts < asked else ""
    repeated = f", {different} different" if different < prompts else ""
    return (
        f"{prompts} prompts{repeated}, {seconds:g} seconds each: as many pictures as fit; {optimized} chooses. "
        f"Nothing optimizes {held_out} or the checker.{unfinished}"
    )


def prompt(number: int, text: str) -> str:
    """A prompt of the race; two may have the same text and different seeds."""
    return f"{number + 1}. {text}"


def method(entrant: str) -> str:
    """The method's name of an entrant."""
    return re.split("[/:@]", entrant, maxsplit=1)[0]


def entrant(name: str, titles: Mapping[str, str]) -> str:
    """A method with its preset, trained part and guidance scale, such as maskunet_trained:light@4."""
    named, _, guidance = name.partition("@")
    method, *parts = re.split("[/:]", named)
    return ", ".join([titles.get(method, method), *parts, *([f"guidance {guidance}"] if guidance else [])])


def lane(reward: float, pictures: int) -> str:
    """What a picture scores, and of how many it was chosen."""
    return f"{reward:.3f}, n = {pictures}"


def pictures_hint(held_out: str) -> str:
    """Which prompts are shown, and what stands under their pictures."""
    return f"{held_out}, best of n; each task’s first three prompts."


def verdict(better: list[str], worse: list[str], largest: tuple[str, float, float, float] | None, n: int) -> str:
    """Which methods the paired intervals tell apart from plain: the answer first.

    Args:
        largest: the largest difference of the share correct that was measured, by whom, and its interval.
    """
    said = [f"{' and '.join(names)} {what} often right" for names, what in ((better, "more"), (worse, "less")) if names]
    if better:
        return f"Yes: {'; '.join(said)} than more plain pictures, n = {n}."
    answer = f"Nothing is shown to beat more plain pictures, n = {n}."
    if largest:
        name, *points = largest
        gain, low, high = (f"{round(100 * value):+}" if round(100 * value) else "0" for value in points)
        answer += f" Largest gain: {gain} points ({low} to {high}), {name}."
    return f"{answer} Worse: {' and '.join(worse)}." if worse else answer
