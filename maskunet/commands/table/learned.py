"""What the tables of learned words share: the settings, the trainings under a bar, and which rows are asked for."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from maskunet.commands.base import bar
from maskunet.commands.table.options import Options


def changes(options: Options) -> dict[str, Any]:
    """The settings that are not a preset's."""
    return {**options.set, **({"steps": options.steps} if options.steps else {})}


def learn(trainings: Sequence[Generator[Any, None, None]], should_stop: Callable[[], str]) -> None:
    """Run the trainings one after the other; Ctrl+C keeps what was reached."""
    for number, training in enumerate(trainings, 1):
        with closing(training) as events, bar("step") as line:
            for event in events:
                line.total, line.n = event.steps, event.step
                line.set_postfix_str(f"training {number} of {len(trainings)}, loss {event.loss:.4f}")
                if should_stop():
                    return


def rows(options: Options, path: Path, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows that are asked for, of a folder that may have those of more pictures and trainings."""
    from maskunet.experiments import journal

    return [
        row
        for row in journal.read(path, about, "table")
        if row["number"] < options.pictures and (row["training"] or 0) < options.seeds
    ]
