"""How the page's handlers answer: the options that its rooms share, and what is told of a refusal."""

from collections.abc import Callable, Iterator
from functools import wraps
from html import escape
from inspect import isgeneratorfunction
from typing import Any

import gradio as gr

_PLAIN = {"api_visibility": "private", "show_progress": "hidden"}

# At once, beside the queue.
QUICK = _PLAIN | {"queue": False}
# What may refuse goes through the queue: without it gradio does not show the sentence.
LOUD = _PLAIN | {"concurrency_limit": 8}
# What goes on as long as its job does, on so many pages at once.
WATCHED = _PLAIN | {"concurrency_limit": 32}
# One after the other, as they take the device.
ALONE = _PLAIN | {"concurrency_limit": 1}


def told(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler, whose ValueErrors are told on the page as they are, with nothing of them taken for HTML."""

    @wraps(handler)
    def answer(*given: Any, **named: Any) -> Any:
        try:
            return handler(*given, **named)
        except ValueError as error:
            raise _said(error) from error

    @wraps(handler)
    def answers(*given: Any, **named: Any) -> Iterator[Any]:
        try:
            yield from handler(*given, **named)
        except ValueError as error:
            raise _said(error) from error

    return answers if isgeneratorfunction(handler) else answer


def _said(error: ValueError) -> gr.Error:
    return gr.Error(escape(str(error)), print_exception=False)
