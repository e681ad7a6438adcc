"""Who listens: whose stream of answers is open, so that nothing is done, or goes on, for nobody."""

import asyncio
import re
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

GRACE = 5.0  # seconds within which a stream must be opened, or opened again
FOLLOWING = 8  # things that one page or program may follow at once
UNHEARD = 500  # calls that nobody listens to yet, of all together
MEMORY = 4096  # streams that were closed

# Gradio's streams of answers: of a session, and of a single call.
_STREAM = re.compile(r"/queue/data/?$|/call/(?:v2/)?[^/]+/(?P<call>[^/]+)/?$")
_SESSION = re.compile(rb"(?:^|&)session_hash=([^&]*)")


class Listeners:
    """What is known of open streams; a stream has the key of a session or of a single call.

    Keys are opened, closed and waited for in the server's event loop, and asked for in any thread.
    """

    def __init__(self):
        self._open: Counter[str] = Counter()
        self._closed: dict[str, float] = {}  # when the last stream of a key was closed
        self._waiting: defaultdict[str, set[asyncio.Future]] = defaultdict(set)
        self._following: Counter[str] = Counter()

    async def heard(self, *keys: str) -> bool:
        """Wait until somebody listens; False if nobody comes in time, or too many calls wait for that."""
        if any(self._open[key] for key in keys):
            return True
        if len(self._waiting) >= UNHEARD * len(keys):
            return False
        opened = asyncio.get_running_loop().create_future()
        for key in keys:
            self._waiting[key].add(opened)
        try:
            await asyncio.wait_for(opened, GRACE)
        except TimeoutError:
            return False
        finally:
            for key in keys:
                self._waiting[key].discard(opened)
                if not self._waiting[key]:
                    del self._waiting[key]
        return True

    def gone(self, *keys: str) -> bool:
        """Whether whoever listened has left and did not come back in time."""
        left = max(self._closed.get(key, 0.0) for key in keys)
        return not any(self._open[key] for key in keys) and time.monotonic() - left > GRACE

    @contextmanager
    def following(self, session: str) -> Iterator[None]:
        """One thing more that a session follows.

        Raises:
            ValueError: it follows as many as it may.
        """
        if self._following[session] >= FOLLOWING:
            raise ValueError(f"This page follows {FOLLOWING} things already. Wait for one of them, or reload the page.")
        self._following[session] += 1
        try:
            yield
        finally:
            self._following[session] -= 1
            if not self._following[session]:
                del self._following[session]

    @contextmanager
    def listening(self, key: str) -> Iterator[None]:
        """A stream of this key is open."""
        self._open[key] += 1
        for opened in self._waiting.get(key, ()):
            if not opened.done():
                opened.set_result(None)
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
                self._closed.pop(key, None)
                self._closed[key] = time.monotonic()
                while len(self._closed) > MEMORY:
                    del self._closed[next(iter(self._closed))]


class Streams:
    """ASGI middleware that tells `Listeners` which streams are open."""

    def __init__(self, app: Callable[..., Awaitable[None]], listeners: Listeners):
        self._app, self._listeners = app, listeners

    async def __call__(self, scope: MutableMapping[str, Any], receive: Callable, send: Callable) -> None:
        """Pass everything through."""
        if key := _key(scope):
            with self._listeners.listening(key):
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _key(scope: MutableMapping[str, Any]) -> str:
    """Of what session or call a request is the stream; empty for other requests."""
    found = _STREAM.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
    if found is None:
        return ""
    session = _SESSION.search(scope["query_string"])
    return found["call"] or (session[1].decode("latin-1") if session else "")
