"""What the judges say of a picture of the embedded worlds, in words: whether it shows what its prompt asks for."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from maskunet.tabletop import checker, inspector
from maskunet.tabletop.captions import NUMBERS, phrase, with_article
from maskunet.tabletop.place import CHECKER, INSPECTOR
from maskunet.tabletop.reading import read
from maskunet.tabletop.scenes import OPPOSITE, Thing
from maskunet.tabletop.spoiling import CLEAN
from maskunet.tabletop.tasks import Case, fits, stands


def judge(prompt: str, pictures: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """What the checker and the inspector say of (H, W, 3) uint8 pictures of one prompt, all of one size.

    Returns:
        for each: "right", whether it shows what is asked, None where the prompt uses words that no caption has;
        "saw", the things in words; "spoiled", how the picture is spoiled, or "".
    """
    eye, nose = _judges()
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    case = read(prompt)
    return [
        {
            "right": None if case is None else case.satisfied(things),
            "saw": told(things, case),
            "spoiled": "" if kind == CLEAN else kind,
        }
        for things, kind in zip(eye.see(images), nose.kinds(images), strict=True)
    ]


@cache
def _judges() -> tuple[checker.Checker, inspector.Inspector]:
    return checker.load(CHECKER), inspector.load(INSPECTOR)


def told(things: Sequence[Thing], case: Case | None) -> str:
    """Things in words, such as "two red cubes, a cone": their colors, and whatever else the prompt names of any."""
    asked = {name for thing in case.things for name in thing} if case is not None else set()
    named = tuple(name for name in ("size", "texture", "color") if name in asked | {"color"})
    counted = Counter(phrase(thing, named, article=False) for thing in things)
    words = [f"{NUMBERS.get(n, n)} {text}s" if n > 1 else with_article(text) for text, n in counted.items()]
    placed = _placed(things, case, named) if case is not None and case.relation else ""
    return placed or ", ".join(words) or "nothing"


def _placed(things: Sequence[Thing], case: Case, named: tuple[str, ...]) -> str:
    """How the two that the prompt places stand to each other, if both are there."""
    pair = [next((t for t in things if fits(t, asked)), None) for asked in case.things]
    if None in pair:
        return ""
    first, second = pair
    either = (case.relation, OPPOSITE[case.relation])
    relation = next((r for r in (*either, *OPPOSITE) if stands(r, first, second)), "beside")
    return f"{phrase(first, named)} {relation} {phrase(second, named)}"
