"""The door: what is refused before gradio sees it, and what every answer tells the browser."""

import json
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from gradio.route_utils import FnIndexInferError
from starlette.exceptions import HTTPException
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from maskunet.failures import sentence
from maskunet.ui.server.payload import Message, Refused, checked

READING = ("GET", "HEAD", "OPTIONS")
TRIES, PERIOD = 5, 60.0  # logins that may fail from one address within so many seconds
MEMORY = 4096  # tries that are remembered, of all addresses together
ELSEWHERE = "Another site's page may not do this. Open the lab itself."
TIRED = f"{TRIES} logins failed. Try again in a minute."
NO_PROXY = "Only files of the lab are served, no other addresses."
NOTHING = "There is nothing here."
NO_CALL = "The lab has no such call. Reload the page; /gradio_api/info lists what programs may call."
NO_FIT = "An argument of this call is missing or unknown; /gradio_api/info lists them."
FILE = re.compile(r"/file[=/](.*)", re.S)  # gradio's routes, the old one too
HERE = re.compile(r"/(?!/)|[a-z]:[\\/]", re.I)  # a whole path on this machine
# What pages and programs need of what gradio offers. The rest is refused, as it may change something: reading
# /gradio_api/deep_link writes to the disk.
READ = re.compile(
    r"/(config|logout|theme\.css|robots\.txt|favicon\.ico|manifest\.json|pwa_icon(/\d+)?|(assets|static|svelte)/.*)?"
    r"|/gradio_api/(info|openapi\.json|user|app_id|login_check|startup-events|theme\.css|upload_progress|file[=/].*"
    r"|queue/(data|status)|heartbeat/[^/]+|call/(v2/)?[^/]+/[^/]+)",
    re.S,
)
POSTED = re.compile(r"/login|/gradio_api/(queue/join|call/(v2/)?[^/]+|(run|api)/[^/]+|cancel|reset|upload|mcp)")
ASTRAY = Path(__file__).with_name("astray.html").read_bytes()  # a page whose requests do not arrive says so
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

    Args:
        app: the page.
        proxies: addresses or networks of the reverse proxies whose X-Forwarded-For, -Proto and -Host are believed.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], proxies: Sequence[str] = ()):
        self._app = app
        self._proxies = [ip_network(each, strict=False) for each in proxies]
        self._behind = ProxyHeadersMiddleware(self._enter, trusted_hosts=list(proxies))
        self._tries: deque[tuple[float, str]] = deque(maxlen=MEMORY)

    async def __call__(self, scope: Message, receive: Callable, send: Callable) -> None:
        """Answer with a refusal, or let the request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._is_proxy(_address(scope)):
            if host := _header(scope, b"x-forwarded-host").partition(",")[0].strip():
                others = [(name, value) for name, value in scope["headers"] if name != b"host"]
                scope = {**scope, "headers": [(b"host", host.encode("latin-1")), *others]}
            await self._behind(scope, receive, send)
        else:
            await self._enter(scope, receive, send)

    async def _enter(self, scope: Message, receive: Callable, send: Callable) -> None:
        if refused := self._refused(scope):
            await _answer(send, scope, *refused)
            return
        route = scope["path"].rstrip("/").rpartition("/")[2]
        if route == "logout":  # all visitors have the same name
            scope = {**scope, "query_string": b"all_session=false"}
        if scope["method"] not in READING:
            try:
                about = _header(scope, b"content-type"), _header(scope, b"content-length")
                receive = await checked(receive, route, *about)
            except Refused as refusal:
                await _answer(send, scope, *refusal.args)
                return
        await self._let_in(scope, receive, send)

    async def _let_in(self, scope: Message, receive: Callable, send: Callable) -> None:
        """Let the page answer; what breaks before it begins to is told in a sentence."""
        begun, is_page = False, scope["method"] == "GET" and scope["path"] in ("", "/")

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                # The page grows on its way, so its length is not told.
                headers = [one for one in message.get("headers", ()) if not (is_page and one[0] == b"content-length")]
                message["headers"] = [*headers, *POLICY]
                if _is_login(scope) and message["status"] < 400:
                    self._forget(_address(scope))
            elif is_page and message["type"] == "http.response.body":
                message["body"] = message.get("body", b"").replace(b"</head>", ASTRAY + b"</head>", 1)
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            if not begun:
                await _answer(send, scope, *_broken(error, scope))
            elif isinstance(error.__cause__, HTTPException):  # told in a stream that had begun; it ends in good order
                await send({"type": "http.response.body", "body": b""})
            else:
                raise

    def _is_proxy(self, address: str) -> bool:
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self._proxies)

    def _refused(self, scope: Message) -> tuple[int, str] | None:
        file = FILE.search(scope["path"])
        if _from_elsewhere(scope) and not (scope["method"] in READING and _is_shown(scope["path"])):
            return 403, ELSEWHERE
        if "/proxy=" in scope["path"] or (file and not HERE.match(file[1])):
            return 403, NO_PROXY
        if _is_login(scope) and self._is_tired(_address(scope)):
            return 429, TIRED
        known = POSTED if scope["method"] == "POST" else READ
        if not known.fullmatch(scope["path"].rstrip("/") or "/"):
            return 404, NOTHING
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


def _is_shown(path: str) -> bool:
    """Whether a link from another site may lead there: the page and its files, nothing that does anything."""
    return path in ("", "/") or bool(FILE.search(path))


def _is_login(scope: Message) -> bool:
    return scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/login")


def _address(scope: Message) -> str:
    return (scope.get("client") or ("",))[0]


def _broken(error: Exception, scope: Message) -> tuple[int, str]:
    """What is told of an error that gradio does not answer itself."""
    posted = scope["method"] == "POST"
    if posted and isinstance(error, (KeyError, FnIndexInferError)):  # no such number, no such name
        return 404, NO_CALL
    if posted and "/call/v2/" in scope["path"] and isinstance(error, (TypeError, ValueError)):
        return 400, NO_FIT
    return 500, sentence(error)


async def _answer(send: Callable, scope: Message, status: int, text: str) -> None:
    """One sentence: in the form in which gradio's page shows it, or as text to who opens an address."""
    asked = scope["method"] == "POST"
    kind, body = ("application/json", json.dumps({"detail": text})) if asked else ("text/plain", text)
    headers = [(b"content-type", f"{kind}; charset=utf-8".encode()), *POLICY]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
