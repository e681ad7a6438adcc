"""What the tables of learned words share: their trainings under a bar."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any

from maskunet.commands.base import bar


def learn(trainings: Sequence[Generator[Any, None, None]], should_stop: Callable[[], str]) -> None:
    """Run the trainings one after the other; Ctrl+C keeps what was reached."""
    for number, training in enumerate(trainings, 1):
        with closing(training) as events, bar("step") as line:
            for event in events:
                line.total, line.n = event.steps, event.step
                line.set_postfix_str(f"training {number} of {len(trainings)}, loss {event.loss:.4f}")
                if should_stop():
                    return
