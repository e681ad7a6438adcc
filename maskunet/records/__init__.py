"""Plain data that travels between the rooms: what was asked, what happened, what is kept."""

from maskunet.records.mask_set import MaskSet
from maskunet.records.page import Card, FiguresEvent, JobEvent, Setup, Status
from maskunet.records.request import (
    MAX_GUIDANCE,
    MAX_PROMPT,
    MAX_SETTING,
    MAX_SETTINGS,
    MAX_STEPS,
    MAX_VALUE,
    Request,
)
from maskunet.records.run import Run, StepEvent
from maskunet.records.seed import MAX_SEED, seed_of

__all__ = [
    "Card",
    "FiguresEvent",
    "JobEvent",
    "MAX_GUIDANCE",
    "MAX_PROMPT",
    "MAX_SEED",
    "MAX_SETTING",
    "MAX_SETTINGS",
    "MAX_STEPS",
    "MAX_VALUE",
    "MaskSet",
    "Request",
    "Run",
    "Setup",
    "Status",
    "StepEvent",
    "seed_of",
]
