"""What the pictures of a subject are asked for, and what a judge must find in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskunet.encoders.pixels import from_uint8
from maskunet.tabletop import checker, spotter
from maskunet.tabletop.captions import with_article
from maskunet.tabletop.reading import read
from maskunet.tabletop.scenes import SHAPES, Thing
from maskunet.tabletop.subjects import STACKS, Subject
from maskunet.tabletop.tasks import TASKS, Case, cases, fits

NAME = "sks"  # three bytes that the embedded vocabulary never trained
ALONE, BESIDE, CLASS, DRIFT = "alone", "beside", "class", "tasks"
FRAMES = ("{}", "a photo of {}", "a picture of {}", "{} on a table", "there is {}")
JOINED = ("{} and {}", "{} left of {}", "{} in front of {}", "{} right of {}", "{} behind {}")
COLORS = ("red", "blue", "cyan", "orange")  # of no new subject's part
CLASS_COLORS = ("red", "blue", "green", "pink", "purple")
FIRST_SEED = 70_000  # of the pictures' noise


@dataclass(frozen=True, slots=True)
class Asked:
    """One picture.

    Attributes:
        group: "alone" and "beside" another thing name the subject, "class" its class, and "tasks" anything of the world.
        frame: the prompt, with a place for what the subject is called. case: what else must be right; None for nothing.
    """

    group: str
    frame: str
    seed: int
    case: Case | None = None

    def prompt(self, called: str) -> str:
        """The prompt where the subject is called so."""
        return self.frame.format(called)


def asked(subject: Subject, count: int) -> list[Asked]:
    """So many pictures of each group, and a fifth of it of each of the seven tasks; always the same ones for a class."""
    others = [{"color": c, "shape": s} for s in SHAPES if s != subject.word for c in COLORS]
    wanted: list[tuple[str, str, Case | None]] = []
    for i in range(count):
        wanted.append((ALONE, FRAMES[i % len(FRAMES)], None))
    for i in range(count):
        other = others[5 * i % len(others)]
        frame = JOINED[i % len(JOINED)].format("{}", with_article(f"{other['color']} {other['shape']}"))
        wanted.append((BESIDE, frame, Case(BESIDE, frame, (other,))))
    for i in range(count):
        words = f"{CLASS_COLORS[i // 2 % len(CLASS_COLORS)]} {subject.word}" if i % 2 else subject.word
        wanted.append((CLASS, with_article(words), read(with_article(words))))
    for task in TASKS:
        wanted += [(DRIFT, case.prompt, case) for case in cases(task, max(1, count // 5))]
    return [Asked(group, frame, FIRST_SEED + i, case) for i, (group, frame, case) in enumerate(wanted)]


class Judges:
    """Whether the subject is in a picture, by the spotter if it is new, else by the checker; and the rest of it."""

    def __init__(self, name: str, subject: Subject, eye: checker.Checker, finder: spotter.Spotter):
        self._name, self._subject, self._eye, self._finder = name, subject, eye, finder

    def __call__(self, asked: Sequence[Asked], images: Sequence[np.ndarray]) -> list[dict[str, bool]]:
        """Of each picture, (H, W, 3) uint8: "subject", is it there; "right", is everything else that is asked for."""
        pictures = from_uint8(np.stack(images))
        seen = self._eye.see(pictures)
        there = [self._is_there(things) for things in seen]
        if self._name in STACKS:
            there = [self._name in names for names in self._finder.find(self._eye, pictures)]
        return [
            {"subject": found, "right": one.case is None or one.case.satisfied(things)}
            for one, found, things in zip(asked, there, seen, strict=True)
        ]

    def _is_there(self, things: Sequence[Thing]) -> bool:
        thing = self._subject.thing
        return any(fits(t, {"shape": thing.shape, "color": thing.color, "texture": thing.texture}) for t in things)
