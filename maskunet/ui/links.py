"""What a link says: a request, the run that came of it, and where on the page to look; nothing is stored for it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode

from maskunet.records import Request
from maskunet.records.video import Motion

ASKED = ("prompt", "negative_prompt", "seed", "model", "method", "preset", "steps", "guidance")
ADDED = ("loras", "embeddings", "lora_masks")
BETWEEN = "/"  # of files, in no file's name
MOTION = ("frames", "right", "down", "mask_per")  # of a video
PLACE = ("run", "tab", "step", "site", *MOTION)  # step counts from 1, as on the page
SETTING = "set."  # begins the names of settings
NOWHERE: dict[str, str] = {}  # no link
LONGEST = 200  # characters of what names a place


def fields(request: Request) -> dict[str, Any]:
    """A request as the page's form takes it, with "settings"; also what is empty, lest the form keeps what it had."""
    return {name: getattr(request, name) for name in (*ASKED, *ADDED)} | {"settings": dict(request.settings)}


def query(request: Request, run_id: str = "") -> str:
    """The query of a link that fills in a page like this one, and opens the run if it is still there."""
    known = fields(request)
    settings = {f"{SETTING}{name}": _text(value) for name, value in known.pop("settings").items()}
    added = {name: known.pop(name) for name in ADDED}
    known |= {name: value if isinstance(value, str) else BETWEEN.join(value) for name, value in added.items() if value}
    if not request.loras:
        known.pop("lora_masks")
    known = {name: value for name, value in known.items() if value not in ("", None)}
    return "?" + urlencode(known | settings | ({"run": run_id} if run_id else {}))


def motion(motion: Motion) -> str:
    """What a link to a video says besides, to be put behind `query`."""
    return "&" + urlencode({name: getattr(motion, name) for name in MOTION})


def read(query: str | Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What a link says of the request, as `fields`, and of the place; whatever cannot be is left out.

    Args:
        query: of an address, with or without its question mark, or its pairs.
    """
    pairs = dict(parse_qsl(query.lstrip("?"))) if isinstance(query, str) else dict(query)
    place = {name: pairs[name][:LONGEST] for name in PLACE if pairs.get(name)}
    asked: dict[str, Any] = {name: pairs[name] for name in ASKED if name in pairs}
    for name, kind in (("steps", int), ("guidance", float)):
        if name in asked:
            with suppress(ValueError):
                asked[name] = kind(asked[name])
    settings = {name.removeprefix(SETTING): _value(text) for name, text in pairs.items() if name.startswith(SETTING)}
    for name in ("loras", "embeddings"):
        if pairs.get(name):
            asked[name] = tuple(pairs[name].split(BETWEEN))
    if "lora_masks" in pairs:
        asked["lora_masks"] = pairs["lora_masks"]
    known = {
        name: value for name, value in asked.items() if name in ("prompt", "negative_prompt") or _fits(name, value)
    }
    if settings and _fits("settings", settings):
        known["settings"] = settings
    return known, place


def _fits(name: str, value: Any) -> bool:
    """Whether a request may hold it."""
    try:
        return bool(Request(**{"prompt": "-", name: value}))
    except ValueError:
        return False


def _text(value: Any) -> str:
    """A setting's value so that `_value` gives it back; a word stands as it is."""
    return value if isinstance(value, str) and _value(value) == value else json.dumps(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
