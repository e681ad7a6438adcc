"""How the page's handlers answer: the options that its rooms share, and what is told of a refusal."""

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import wraps
from html import escape
from inspect import isgeneratorfunction, signature
from typing import Any, get_type_hints
from weakref import WeakValueDictionary

import gradio as gr
from gradio.context import LocalContext
from pydantic import TypeAdapter, ValidationError

from maskunet.failures import is_fit, sentence
from maskunet.ui.server.listeners import Listeners

_PLAIN = {"api_visibility": "private", "show_progress": "hidden"}

# At once, beside gradio's queue.
QUICK = _PLAIN | {"queue": False}
# What may refuse goes through gradio's queue: without it gradio does not show the sentence. Nobody waits in it, since
# it is not fair: what is for the device waits in the studio's, and everything else is done at once.
QUEUED = _PLAIN | {"concurrency_limit": None}

NOBODY = "Nobody listens to the answer, so the work was not begun or has been given up. Ask again."
UNFIT = "A value that was sent does not fit its field, or one is missing. Reload the page and try again."


class Blocks(gr.Blocks):
    """A page whose handlers work for those who listen, and whose every refusal is a sentence.

    Attributes:
        listeners: to be fed by `server.listeners.Streams`.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.listeners = Listeners()
        self._showing = asyncio.Lock()
        self._in_line: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # one call of each address

    def guard(self) -> None:
        """Make every handler answer as `told` does; when all are there."""
        for event in self.fns.values():
            if event.fn is not None:
                event.fn = told(event.fn, self.listeners)

    async def process_api(self, *given: Any, **named: Any) -> dict[str, Any]:
        """Answer a call, or the next part of one; a call from gradio's queue waits for whoever is to hear the answer."""
        address = getattr(getattr(named.get("request"), "client", None), "host", "")
        try:
            call = named.get("event_id") if named.get("iterator") is None else None
            if call and not await self.listeners.heard(address, named.get("session_hash") or call, call):
                raise ValueError(NOBODY)
            event = given[0] if given else named["block_fn"]
            if not getattr(getattr(event, "fn", None), "shows_a_run", False):
                return await super().process_api(*given, **named)
            async with self._in_line.setdefault(address, asyncio.Lock()), self._showing:
                return await super().process_api(*given, **named)
        except asyncio.CancelledError:
            self.listeners.cancel(named.get("event_id"))
            raise
        except Exception as error:
            raise _said(error) from None

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *given: Any, **named: Any) -> list[Any]:
        """Take in what a page sent; what does not fit its field never reaches a handler."""
        try:
            _check_characters(inputs)
            if block_fn.api_visibility == "public":  # who knows fewer arguments leaves the others to their defaults
                inputs = [*inputs, *(each.value for each in block_fn.inputs[len(inputs) :])]
            return await super().preprocess_data(block_fn, inputs, *given, **named)
        except gr.Error as error:
            # The list of choices, with whatever was sent, is no sentence.
            said = error.message if is_fit(error.message) and not error.message.startswith("Value: ") else UNFIT
            if said.startswith("Value "):  # of a number
                said = f"“{_number(block_fn.inputs, inputs, given[0] if given else named.get('state'))}”: {said}"
            raise gr.Error(escape(said), print_exception=False) from None
        except Exception as error:
            place = re.search(r"index (\d+)", str(error))
            label = getattr(block_fn.inputs[int(place[1])], "label", "") if place else ""
            unfit = f"The value of “{label}” does not fit its field. Change it and try again." if label else UNFIT
            raise gr.Error(escape(unfit), print_exception=False) from None


def _number(fields: Iterable[Any], values: Iterable[Any], state: Any) -> str:
    """The label of the first number that is out of its range, which gradio does not name."""
    for field, value in zip(fields, values, strict=False):
        if isinstance(field, gr.Number):
            field = state[field._id] if state is not None and field._id in state else field  # as this page shows it
            try:
                field.preprocess(value)
            except gr.Error:
                return field.label or ""
    return ""


def shows_a_run(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a handler that reads runs and draws them, which takes memory.

    These answer one at a time, from the first byte read to the last picture packed, and addresses take turns.
    """
    handler.shows_a_run = True
    return handler


def told(handler: Callable[..., Any], listeners: Listeners | None = None) -> Callable[..., Any]:
    """The handler, with its arguments checked against their types, and its refusals told as they are.

    Nothing of a refusal is taken for HTML. What nobody foresaw is logged, and its reference told. A generator is
    closed when nobody listens any more; it yields None now and then where there is nothing to tell.
    """
    types = _types(handler)

    @wraps(handler)
    def answer(*given: Any, **named: Any) -> Any:
        try:
            _check(types, signature(handler).bind(*given, **named).arguments)
            return handler(*given, **named)
        except Exception as error:
            raise _said(error) from error

    @wraps(handler)
    def answers(*given: Any, **named: Any) -> Iterator[Any]:
        try:
            _check(types, signature(handler).bind(*given, **named).arguments)
            made = handler(*given, **named)
            for value in made if listeners is None else _attended(made, listeners):
                if value is not None:
                    yield value
        except Exception as error:
            raise _said(error) from error

    return answers if isgeneratorfunction(handler) else answer


def _attended(made: Iterator[Any], listeners: Listeners) -> Iterator[Any]:
    """What a generator yields, as long as somebody listens to the call that it answers."""
    call, visitor = LocalContext.event_id.get(None), LocalContext.request.get(None)
    session = getattr(visitor, "session_hash", None) or call or ""
    with listeners.following(session, call or session), closing(made):
        for value in made:
            if call and listeners.gone(session, call):
                raise ValueError(NOBODY)
            yield value


def picked(event: gr.EventData) -> Mapping[str, Any]:
    """What a component of our own says was clicked.

    Raises:
        ValueError: something else was sent.
    """
    if not isinstance(event._data, Mapping):
        raise ValueError(UNFIT)
    try:
        _check_characters(event._data)
    except UnicodeError:
        raise ValueError(UNFIT) from None
    return event._data


def _check_characters(sent: Any) -> None:
    """Halves of characters, which JSON can hold, could not be sent back; a UnicodeError says that there are some."""
    json.dumps(sent, ensure_ascii=False, default=str).encode()


def _types(handler: Callable[..., Any]) -> dict[str, TypeAdapter]:
    """How to check what comes from a browser, by the argument's name."""
    hints = {name: kind for name, kind in get_type_hints(handler).items() if name != "return"}
    ours = (gr.Request, gr.EventData, Any)  # gradio makes the first two
    return {name: TypeAdapter(kind) for name, kind in hints.items() if kind not in ours}


def _check(types: Mapping[str, TypeAdapter], given: Mapping[str, Any]) -> None:
    for name, kind in types.items():
        if name not in given:
            continue
        try:
            kind.validate_python(given[name], strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, (name, *first["loc"])))
            raise ValueError(
                f"{first['msg'].replace('Input', f'“{place}”', 1)}. Reload the page and try again."
            ) from None


def _said(error: Exception) -> gr.Error:
    """As gradio tells it on the page."""
    return error if isinstance(error, gr.Error) else gr.Error(escape(sentence(error)), print_exception=False)
