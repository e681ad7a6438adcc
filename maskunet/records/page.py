"""What the page hears: cards of models and methods, events of jobs, the machine's status."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskunet.plugins import FieldCard
from maskunet.records.request import Request
from maskunet.records.run import Run, StepEvent

Presets = Mapping[str, tuple[FieldCard, ...]]
"""By name, the default one first: the settings that a page draws, with the preset's values as defaults."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What a page shows of a base model, a method or a reward before it is used.

    Attributes:
        kind: of a method, see `methods.base.KINDS`, and `groups`, whether it takes groups of a prompt's words.
        takes: of a method that takes a trained file, the setting that names it.
        needs_rewards: of a method, whether it is refused without rewards.
        refused: of a base model, whether its file is here and cannot be read.
        weight: of a reward, in the total. guidance, steps: of a base model, where nobody asks for others.
        most_steps: of a method, see `MethodSpec`.
        unscored: of a base model that is here, why its pictures are not scored; empty if they are.
        presets: of a method; settings with a control of their own, word groups and trained files, are not in them.
    """

    name: str
    title: str
    summary: str
    kind: str = ""
    groups: bool = False
    takes: str = ""
    needs_rewards: bool = False
    presets: Presets = field(default_factory=dict)
    weight: float = 1.0
    available: bool = True
    reason: str = ""
    refused: bool = False
    unscored: str = ""
    download_gb: float = 0.0
    guidance: float = 7.5
    steps: int = 15
    most_steps: int = 0
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What a base model takes that is not here.

    Attributes:
        missing: what is not here, in words, `gigabytes` of it (10^9 bytes), and the `commands` that get it.
        needs: the device it runs on, in a sentence.
    """

    title: str
    license: str
    missing: tuple[str, ...]
    gigabytes: float
    commands: tuple[str, ...]
    needs: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEvent:
    """What a page hears of a job.

    Attributes:
        job: 12 hexadecimal digits; also the id of the run it becomes.
        phase: "queued", "loading", "base", "result", "done", "stopped" or "failed"; of other work than pictures
            "checking" or "measuring", of a grid "grid"; of a run that an earlier program did not finish, "interrupted".
        ahead: jobs before this one while queued.
        number: counts the job's events from 1; events with the same number differ in time only.
        elapsed, remaining: seconds; `remaining` is None until it can be estimated.
        step: the newest event of the plain method in phase "base", of the method in "result".
        rows: `StepEvent.row` of all the method's events so far, also of those a reader missed; of a grid the lines of
            its cells.
        run: the finished run in phase "done"; in "interrupted" the best so far; in "stopped" too, or None
            if there was no picture yet.
        message: one clear sentence, in phase "failed" what went wrong and what to do; of other work than
            pictures what was found.
    """

    job: str
    phase: str
    number: int = 0
    ahead: int = 0
    elapsed: float = 0.0
    remaining: float | None = None
    step: StepEvent | None = None
    rows: tuple[Mapping[str, Any], ...] = ()
    run: Run | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FiguresEvent:
    """How far the drawing of a run's figures is.

    Attributes:
        phase: "waiting", "drawing", and at last "done" or "stopped".
        done, total: plots; 0 while it waits.
        seconds: since it was asked for.
        file: the zip of the figures, when it is done; request: what the run was asked with, unless the zip was there before.
    """

    phase: str
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    file: Path | None = None
    request: Request | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The machine in words, for the page's header."""

    device: str
    dtype: str
    model: str
    running: int
    waiting: int
