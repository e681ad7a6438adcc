"""What must hold of a run before it is shown: its folder may be old, or somebody else's."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, get_args, get_origin

from maskunet.records import Run
from maskunet.records.disk.untrusted import MAX_NUMBER, NAME
from maskunet.records.request import MAX_STEPS

STATES = ("done", "stopped", "interrupted")
MAX_TEXT = 2000  # characters of one text, such as the note
MAX_NAMES = 1000  # files of weights, settings, rewards
COUNTS = ("step", "timestep", "update", "unet_calls")  # columns of steps.csv, and their kinds
FLAGS = ("best", "final")
MEASURES = ("loss", "keep_ratio", "seconds")


def check_types(record: Mapping[str, Any]) -> None:
    """Refuse a run.json whose entries are of other types than `Run` has, or no numbers.

    Raises:
        ValueError: says which entry.
    """
    for one in fields(Run):
        if one.name != "request" and one.name in record and not _is(record[one.name], one.type):
            raise ValueError(f"The entry “{one.name}” of this run is of another type.")


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Mapping:
        fits = isinstance(value, dict) and len(value) <= MAX_NAMES
        return fits and all(len(k) <= MAX_TEXT and _is(v, get_args(kind)[1]) for k, v in value.items())
    if kind is Any:
        return value is None or isinstance(value, bool) or _is(value, str) or _is(value, float)
    if kind is str:
        return isinstance(value, str) and len(value) <= MAX_TEXT
    if kind is float:
        return _is_number(value)
    return isinstance(value, kind) and (kind is not int or _is_number(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def check(run: Run) -> None:
    """Refuse a run whose parts do not fit together.

    Raises:
        ValueError: says which.
    """
    for broken, what in _faults(run):
        if broken:
            raise ValueError(f"This run's {what}.")


def _faults(run: Run) -> Iterator[tuple[bool, str]]:
    """Whether something is wrong, and what."""
    for name in ("rewards", "base_rewards"):
        rewards = getattr(run, name)
        yield bool(rewards) and "total" not in rewards, f"{name} have no total"
        yield not all(map(NAME.fullmatch, rewards or ())), f"{name} have unusual names"
    for verdict in (run.base_verdict, run.verdict):
        yield bool(verdict) and not _is_verdict(verdict), "verdicts are of another kind"
    yield run.state not in STATES, "state is unknown"
    yield not 0 <= run.keep_ratio <= 1, "keep ratio is not between 0 and 1"
    spent = (run.seconds, run.base_seconds, run.unet_calls, run.base_unet_calls)
    yield min(spent) < 0, "times and counts are below zero"
    unequal = run.base_image is not None and run.base_image.shape != run.result_image.shape
    yield unequal, "pictures are of unequal sizes"
    yield not all(_is_row(row) for row in run.rows), "rows hold values of another kind"


def _is_verdict(verdict: Mapping[str, Any]) -> bool:
    texts = (verdict.get("saw"), verdict.get("spoiled", ""))
    return verdict.get("right") in (True, False, None) and all(isinstance(text, str) for text in texts)


def _is_row(row: Mapping[str, Any]) -> bool:
    """Whether a row has what the plots need; a cell may be empty, but for the step."""
    measures = (name for name in row if name in MEASURES or name.startswith(("reward_", "base_reward_")))
    kinds = [*((name, _is_count) for name in COUNTS), *((name, _is_flag) for name in FLAGS)]
    kinds += [(name, _is_number) for name in measures]
    fits = all(row.get(name) is None or kind(row[name]) for name, kind in kinds)
    return fits and "final" in row and row.get("step") is not None and row["step"] < MAX_STEPS


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)
