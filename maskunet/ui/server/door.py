"""The door: what is refused before gradio sees it, and what every answer tells the browser."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
READING = ("GET", "HEAD", "OPTIONS")
TRIES, PERIOD = 5, 60.0  # logins that may fail from one address within so many seconds
MEMORY = 4096  # tries that are remembered, of all addresses together
ELSEWHERE = "Another site's page may not do this. Open the lab itself."
TIRED = f"{TRIES} logins failed. Try again in a minute."
NO_PROXY = "Only files of the lab are served, no other addresses."
# Gradio's page needs scripts and styles inside it; nothing of it may come from, or go to, another server.
POLICY = (
    (b"content-security-policy", b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'"),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)


class Door:
    """ASGI middleware around the page.

    It refuses what other sites' pages ask for in a visitor's name, passwords tried one after the other, and
    fetching addresses for others; and it keeps browsers from loading anything from another server.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self._app = app
        self._tries: deque[tuple[float, str]] = deque(maxlen=MEMORY)

    async def __call__(self, scope: Message, receive: Callable, send: Callable) -> None:
        """Answer with a refusal, or let the request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if refused := self._refused(scope):
            await _answer(send, *refused)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *POLICY]
                if _is_login(scope) and message["status"] < 400:
                    self._forget(_address(scope))
            await send(message)

        await self._app(scope, receive, sent)

    def _refused(self, scope: Message) -> tuple[int, str] | None:
        if scope["method"] not in READING and _from_elsewhere(scope):
            return 403, ELSEWHERE
        if scope["path"].partition("/file=")[2].lower().startswith(("http:", "https:")):
            return 403, NO_PROXY
        if _is_login(scope) and self._is_tired(_address(scope)):
            return 429, TIRED
        return None

    def _is_tired(self, address: str) -> bool:
        """Count a try before it is answered, so that many at once are counted as well."""
        now = time.monotonic()
        failed = sum(whose == address and now - when < PERIOD for when, whose in self._tries)
        if failed < TRIES:
            self._tries.append((now, address))
        return failed >= TRIES

    def _forget(self, address: str) -> None:
        """A login that succeeds makes up for those before it."""
        self._tries = deque((one for one in self._tries if one[1] != address), MEMORY)


def _header(scope: Message, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _from_elsewhere(scope: Message) -> bool:
    """Whether a browser says that the page of another site asks; programs say nothing of the kind.

    As Go's http.CrossOriginProtection: Sec-Fetch-Site cannot be forged by a page and is right behind any
    proxy; without it, which is over plain http, the Origin must name the host.
    """
    if site := _header(scope, b"sec-fetch-site"):
        return site not in ("same-origin", "none")
    origin = _header(scope, b"origin")
    return bool(origin) and urlsplit(origin).netloc != _header(scope, b"host")


def _is_login(scope: Message) -> bool:
    return scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/login")


def _address(scope: Message) -> str:
    return (scope.get("client") or ("",))[0]


async def _answer(send: Callable, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *POLICY]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
