"""A small Hugging Face Hub on this computer: repositories of models, downloads with ranges, and uploads by commit."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN, OWNER = "hf_token_of_a_test", "anna"


class Hub:
    """What it holds and what was asked of it.

    Attributes:
        repos: by OWNER/NAME the files' bytes by name. asked: every (method, path). said: sizes to state in place of true ones.
    """

    def __init__(self):
        self.repos, self.asked, self.said, self.refuses = {}, [], {}, 0

    def sha(self, repo):
        """The revision, which follows from the content."""
        return hashlib.sha1(b"".join(name.encode() + content for name, content in self.repos[repo].items())).hexdigest()

    def info(self, repo):
        files = [
            {"rfilename": name, "size": self.said.get(name, len(content))} for name, content in self.repos[repo].items()
        ]
        return {
            "id": repo,
            "modelId": repo,
            "sha": self.sha(repo),
            "siblings": files,
            "private": False,
            "tags": [],
            "downloads": 0,
        }


def _handler(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *given):
            pass

        def answer(self, code, content=b"", **headers):
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(code)
            for name, value in {"Content-Length": len(body), **headers}.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def missing(self):
            self.answer(404, {"error": "not found"}, X_Error_Code="RepoNotFound")

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            hub.asked.append((self.command, self.path))
            path = self.path.partition("?")[0]
            if path == "/api/whoami-v2":
                self.answer(200, {"name": OWNER, "type": "user"})
            elif path.startswith("/api/models/"):
                repo = "/".join(path.split("/")[3:5])
                self.answer(200, hub.info(repo)) if repo in hub.repos else self.missing()
            else:
                self.file(path)

        def file(self, path):
            if path.count("/") < 5:  # not /OWNER/NAME/resolve/REVISION/FILE
                return self.missing()
            _, owner, name, _, _, file = path.split("/", 5)
            content = hub.repos.get(f"{owner}/{name}", {}).get(file)
            if content is None:
                return self.missing()
            about = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X_Repo_Commit": hub.sha(f"{owner}/{name}")}
            if wanted := self.headers.get("Range"):
                start, _, end = wanted.removeprefix("bytes=").partition("-")
                part = content[int(start) : int(end or len(content)) + 1]
                return self.answer(206, part, Content_Range=f"bytes {start}-{end}/{len(content)}", **about)
            return self.answer(200, content, **about)

        def do_POST(self):
            hub.asked.append((self.command, self.path))
            given = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}" or hub.refuses:
                return self.answer(hub.refuses or 401, {"error": "no"})
            if self.path == "/api/repos/create":
                asked = json.loads(given)
                repo = f"{asked.get('organization') or OWNER}/{asked['name']}"
                hub.repos.setdefault(repo, {})
                return self.answer(200, {"url": f"http://{self.headers['Host']}/{repo}"})
            if "/preupload/" in self.path:
                files = json.loads(given)["files"]
                modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]
                return self.answer(200, {"files": modes})
            if "/commit/" in self.path:
                repo = "/".join(self.path.split("/")[3:5])
                for line in map(json.loads, given.splitlines()):
                    if line["key"] == "file":
                        hub.repos[repo][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                where = f"http://{self.headers['Host']}/{repo}/commit/{hub.sha(repo)}"
                return self.answer(200, {"commitUrl": where, "commitOid": hub.sha(repo), "hookOutput": ""})
            return self.answer(200, {"errors": [], "warnings": []})  # of the card's front matter

    return Handler


@contextmanager
def serving(monkeypatch, cache):
    """Such a Hub in place of the real one, with an empty cache, and a token of its owner; yields the `Hub`."""
    from huggingface_hub import constants

    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    where = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", where)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", where + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.server = server
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
