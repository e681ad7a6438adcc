"""What is posted, read before gradio reads it: of one type each, and files named by where they lie here."""

import asyncio
import json
import re
from collections.abc import Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
LIMIT = 2**20  # bytes of a posted JSON, of which the page needs a quarter; files are uploaded, see UPLOAD
UPLOAD = 65 * 2**20  # bytes of an upload's request, whatever number of files it holds; a file may have 64 MB
LARGE = f"A request may have {LIMIT >> 20} MB; files are uploaded."
MANY = f"An upload must say its length, at most {UPLOAD >> 20} MB at once."
DEEP = "This request is too deeply nested to be read."
FOREIGN = "Only uploaded files can be used, no addresses."
UNTYPED = "This takes {} as its content type, not “{:.60}”."
JSON, FILES, FORM = "application/json", "multipart/form-data", "application/x-www-form-urlencoded"
# A scheme of two letters at least (a drive has one), or the start of a network share. What is left is a path here,
# whether it may be read or not, and gradio refuses the paths that it did not make.
ADDRESS = re.compile(r"\s*(?:(?!file:)[a-z][a-z0-9+.-]+:|//|\\\\)", re.I)


class Refused(ValueError):
    """A payload that does not go in: the HTTP status and one sentence."""


async def checked(receive: Callable, route: str, content_type: str, length: str) -> Callable:
    """What is received, if the route takes its type: files as they come, all else read to its end.

    A browser sends the address of each file beside its path. The address is left out, as gradio would fetch it when a
    handler gives the value back; what is passed on is what was read, so that nothing can be read in two ways.

    Args:
        route: the last part of the path. content_type: the header; what has none is JSON to gradio.
        length: the header; of an upload the server reads no more than it says.

    Raises:
        Refused: it is of another type, too large or too deep, or the path of a file is an address.
    """
    taken = {"upload": (FILES,), "login": (FORM, FILES)}.get(route, (JSON,))
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (*taken, ""):
        raise Refused(415, UNTYPED.format(" or ".join(taken), kind))
    if kind and route == "upload":
        if not length.isdecimal() or int(length[:20]) > UPLOAD:
            raise Refused(413, MANY)
        return receive
    body = await _whole(receive)
    return _given(body if kind in (FORM, FILES) else await asyncio.to_thread(_plain, body), receive)


async def _whole(receive: Callable) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":  # hung up
            break
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > LIMIT:
            raise Refused(413, LARGE)
    return body


def _plain(body: bytes) -> bytes:
    """Posted JSON without the addresses of files; what is none is left to gradio, which says so."""
    try:
        return json.dumps(_without_addresses(json.loads(body))).encode()
    except RecursionError:
        raise Refused(400, DEEP) from None
    except Refused:
        raise
    except ValueError:
        return body


def _given(body: bytes, receive: Callable) -> Callable:
    """Gives a body that was read, then whatever comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return waiting.pop() if waiting else await receive()

    return received


def _without_addresses(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_addresses(each) for each in value]
    if not isinstance(value, dict):
        return value
    path, url = value.get("path"), value.get("url")
    if isinstance(path, str) and ADDRESS.match(path):
        raise Refused(403, FOREIGN)
    if isinstance(url, str):
        if not isinstance(path, str):
            raise Refused(403, FOREIGN)
        value = value | {"url": None}
    return {name: _without_addresses(each) for name, each in value.items()}
