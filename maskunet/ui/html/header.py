"""The top of the page: its name, one sentence, and the machine."""

from html import escape

from maskunet.records import Status
from maskunet.ui import words


def header(status: Status, button: str) -> str:
    """Name, one sentence, the machine in chips, and a button."""
    busy = "idle" if not status.running else f"busy, {status.waiting} waiting"
    chips = ("Device", f"{status.device}, {status.dtype}"), ("Queue", busy)
    items = "".join(f"<li><span>{name}</span>{escape(value)}</li>" for name, value in chips)
    return f"<header><div><h1>{words.TITLE}</h1><p>{words.TAGLINE}</p></div><ul>{items}<li>{button}</li></ul></header>"
