"""A small reverse proxy, as nginx and Caddy are set up in front of a lab: rightly, or wrongly on purpose."""

import http.client
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

OF_THE_CONNECTION = ("connection", "keep-alive", "transfer-encoding")


@contextmanager
def proxied(url, path="", *, tells_host):
    """The port where a lab is found under a path, which the proxy takes off.

    Args:
        tells_host: whether it says which host was asked for, beside the lab's own that it puts in its place.
    """
    behind = urlsplit(url).netloc

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self):
            inside = self.path.removeprefix(path)
            if not self.path.startswith(path) or inside[:1] not in ("/", "?", ""):
                self.send_error(404)
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() not in OF_THE_CONNECTION}
            if tells_host:
                headers["X-Forwarded-Host"] = headers["Host"]
            body = self.rfile.read(int(headers.get("Content-Length", 0)))
            asked = http.client.HTTPConnection(behind)
            asked.request(self.command, f"/{inside.removeprefix('/')}", body, headers | {"Host": behind})
            answer = asked.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in OF_THE_CONNECTION:
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1():  # as it comes
                self.wfile.write(part)

        do_GET = do_HEAD = do_POST = pass_on

        def log_message(self, *_):
            """Nothing."""

        def handle(self):
            with suppress(OSError):  # a browser that leaves
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()
