"""Who listens: whose stream of answers is open, so that nothing is done, or goes on, for nobody."""

import asyncio
import math
import re
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

OPENS = 15.0  # seconds within which a stream must be opened; a slow browser takes some
GRACE = 5.0  # seconds within which one that was closed must be opened again
FOLLOWING = 8  # things that one page or program may follow at once
UNHEARD = 200  # calls of one address that nobody listens to yet
STALLED = 30.0  # seconds after which who takes nothing more from a stream has left
LEAVES = 1.0  # seconds within which who was told that a stream is over has left it, also a busy browser
MEMORY = 4096  # streams that were closed
SESSIONS = 2000  # whose answers are kept for their streams

# Gradio's streams of answers: of a session, and of a single call.
_STREAM = re.compile(r"/queue/data/?$|/call/(?:v2/)?[^/]+/(?P<call>[^/]+)/?$")
_SESSION = re.compile(rb"(?:^|&)session_hash=([^&]*)")
_TAB = re.compile(r"/heartbeat/([^/]+)/?$")  # open as long as a session's tab
_OVER = b'data: {"msg":"close_stream"'  # its last words


class Listeners:
    """What is known of open streams; a stream has the key of a session or of a single call.

    Keys are opened, closed and waited for in the server's event loop, and asked for in any thread.
    """

    def __init__(self):
        self._open: Counter[str] = Counter()
        self._closed: dict[str, float] = {}  # when the last stream of a key was closed
        self._sending: dict[str, float] = {}  # since when something is on its way to a key's reader
        self._waiting: defaultdict[str, set[asyncio.Future]] = defaultdict(set)
        self._ending: dict[str, asyncio.Future] = {}  # streams whose readers were told that they are over
        self._unheard: Counter[str] = Counter()
        self._following: Counter[str] = Counter()
        self._cancelled: dict[str, bool] = {}  # whether a call that follows something was taken back

    async def heard(self, address: str, *keys: str) -> bool:
        """Wait until somebody listens; False if nobody comes in time, or too many calls of an address wait for that."""
        if any(self._open[key] for key in keys):
            return True
        if self._unheard[address] >= UNHEARD:
            return False
        opened = asyncio.get_running_loop().create_future()
        with _counted(self._unheard, address):
            for key in keys:
                self._waiting[key].add(opened)
            try:
                await asyncio.wait_for(opened, OPENS)
            except TimeoutError:
                return False
            finally:
                for key in keys:
                    self._waiting[key].discard(opened)
                    if not self._waiting[key]:
                        del self._waiting[key]
        return True

    def listens(self, key: str) -> bool:
        """Whether a stream of this key is open."""
        return self._open[key] > 0

    def gone(self, *keys: str) -> bool:
        """Whether whoever listened has left and did not come back in time, takes nothing any more, or cancelled."""
        if any(map(self._cancelled.get, keys)):
            return True
        now = time.monotonic()
        if any(self._open[key] and now - self._sending.get(key, now) <= STALLED for key in keys):
            return False
        return now - max(self._closed.get(key, -math.inf) for key in keys) > GRACE

    def cancel(self, call: str | None) -> None:
        """Its caller took a call back; gradio waits for the next thing that its handler tells, which may take long."""
        if call in self._cancelled:
            self._cancelled[call] = True

    @contextmanager
    def following(self, session: str, call: str = "") -> Iterator[None]:
        """One thing more that a session follows, by a call.

        Raises:
            ValueError: it follows as many as it may.
        """
        if self._following[session] >= FOLLOWING:
            raise ValueError(f"This page follows {FOLLOWING} things already. Wait for one of them, or reload the page.")
        self._cancelled[call] = False
        try:
            with _counted(self._following, session):
                yield
        finally:
            self._cancelled.pop(call, None)

    @contextmanager
    def listening(self, key: str) -> Iterator[None]:
        """A stream of this key is open."""
        try:
            with _counted(self._open, key):
                for opened in self._waiting.get(key, ()):
                    if not opened.done():
                        opened.set_result(None)
                yield
        finally:
            self._closed.pop(key, None)  # so that the oldest come first
            self._closed[key] = time.monotonic()
            while len(self._closed) > MEMORY:
                del self._closed[next(iter(self._closed))]

    async def left(self, key: str) -> None:
        """Wait until nobody reads a stream of this key that is over, but not for one who takes nothing from it."""
        if key in self._ending:
            await asyncio.wait([self._ending[key]], timeout=2 * LEAVES)

    @contextmanager
    def ending(self, key: str) -> Iterator[Callable[[], None]]:
        """While a stream may be open; what is given is to be called when its reader is told that it is over."""
        over = asyncio.get_running_loop().create_future()
        try:
            yield lambda: self._ending.update({key: over})
        finally:
            over.cancel()
            if self._ending.get(key) is over:
                del self._ending[key]

    async def sent(self, key: str, sending: Awaitable[None]) -> None:
        """Send a part of a stream; this takes as long as its reader takes nothing."""
        self._sending[key] = time.monotonic()
        try:
            await sending
        finally:
            self._sending.pop(key, None)


class Answers(OrderedDict[str, Any]):
    """What waits for the stream of each session, in place of gradio's own, which forgets the oldest sessions.

    Then a flood of new ones would end the streams of others. Here those that nobody listens to go first.
    """

    def __init__(self, listeners: Listeners, calls: Mapping[str, Iterable[str]]):
        super().__init__()
        self._listeners, self._calls, self._most = listeners, calls, SESSIONS

    def __setitem__(self, session: str, waiting: Any) -> None:
        """Keep it, and let go of another one where there are too many."""
        if session not in self and len(self) >= self._most:
            del self[next((each for each in self if not self._is_heard(each)), next(iter(self)))]
        super().__setitem__(session, waiting)

    def _is_heard(self, session: str) -> bool:
        """Whether a stream of the session, or of one of its calls, is open."""
        return any(map(self._listeners.listens, (session, *self._calls.get(session, ()))))


class States(OrderedDict[str, Any]):
    """What the page keeps of each session, in place of gradio's own, which forgets those that were quiet longest.

    Then a flood of new ones would undo what others did in tabs that are open. Here those without a tab go first.
    """

    def __init__(self, listeners: Listeners, kept: Mapping[str, Any]):
        super().__init__(kept)
        self._listeners = listeners

    def popitem(self, last: bool = True) -> tuple[str, Any]:
        """Let go of a session, but never of the newest, which is about to be read."""
        older = list(self)[:-1]
        session = next((each for each in older if not self._listeners.listens(_tab(each))), older[0])
        return session, self.pop(session)


def answer_when_left(queue: Any, listeners: Listeners) -> None:
    """Let gradio's queue tell a page that its call was taken only when the page has left a stream that is over.

    A page that hears of its call first takes that stream for one that goes on, and never opens another: gradio would
    lose the answer.
    """
    push = queue.push

    async def pushed(body: Any, *given: Any, **named: Any) -> Any:
        answer = await push(body, *given, **named)
        await listeners.left(body.session_hash)
        return answer

    queue.push = pushed


class Streams:
    """ASGI middleware that tells `Listeners` which streams are open, and which are over."""

    def __init__(self, app: Callable[..., Awaitable[None]], listeners: Listeners):
        self._app, self._listeners = app, listeners

    async def __call__(self, scope: MutableMapping[str, Any], receive: Callable, send: Callable) -> None:
        """Pass everything through."""
        key = _key(scope)
        if not key:
            await self._app(scope, receive, send)
            return
        with self._listeners.listening(key), self._listeners.ending(key) as over:
            told = False

            async def pass_on(message: MutableMapping[str, Any]) -> None:
                nonlocal told
                if message.get("body", b"").startswith(_OVER):
                    over()
                    told = True
                if told and not message.get("more_body"):
                    await asyncio.sleep(LEAVES)  # until its reader leaves, which ends this
                await self._listeners.sent(key, send(message))

            await self._app(scope, receive, pass_on)


@contextmanager
def _counted(counts: Counter[str], key: str) -> Iterator[None]:
    """One more of this key meanwhile."""
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]


def _tab(session: str) -> str:
    return f"tab {session}"


def _key(scope: MutableMapping[str, Any]) -> str:
    """Of what session, call or tab a request is the stream; empty for other requests."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return ""
    if tab := _TAB.search(scope["path"]):
        return _tab(tab[1])
    found = _STREAM.search(scope["path"])
    if found is None:
        return ""
    session = _SESSION.search(scope["query_string"])
    return found["call"] or (session[1].decode("latin-1") if session else "")
