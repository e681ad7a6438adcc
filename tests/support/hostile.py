"""One visitor who means harm, and programs and browsers that do not: what they ask at once, and how long it takes."""

import json
import random
import secrets
import threading
import time
from collections import Counter
from contextlib import suppress

import httpx

WAIT = 600  # seconds
JOIN, DATA, CALL = "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/call/compare"


class Visitor(threading.Thread):
    """Somebody who asks again and again until `over` is set; what went wrong is in `fault`."""

    def __init__(self, url, address, over):
        super().__init__(daemon=True)
        self.raw = httpx.Client(base_url=url, timeout=WAIT, headers={"X-Forwarded-For": address})
        self.over, self.draw, self.fault = over, random.Random(address), ""

    def run(self):
        try:
            while not self.over.is_set():
                self.once()
        except Exception as error:
            self.fault = repr(error)

    def handlers(self):
        return self.raw.get("/config").json()["dependencies"]


class Honest(Visitor):
    """Makes one picture after the other, and reads what comes of it; keeps how long each took."""

    def __init__(self, *given):
        super().__init__(*given)
        self.waits, self.ends, self.number = [], Counter(), 0

    def once(self):
        began, self.number = time.monotonic(), self.number + 1
        body = {"data": ["a red cube", "", self.number, "tiny", "random_mask", ""]}
        answer = self.raw.post(CALL, json=body)
        assert answer.status_code == 200, answer.text
        text = self.raw.get(f"{CALL}/{answer.json()['event_id']}").text
        kind, data = text.strip().split("\n\n")[-1].split("\n")
        self.waits.append(time.monotonic() - began)
        self.ends[f"{kind.removeprefix('event: ')}: {data if 'error' in kind else ''}"] += 1


class Tab:
    """A page in a browser of its own that makes one picture after the other, as often as it is looked at."""

    def __init__(self, chromium, url, address):
        self.waits, self.number = [], 0
        self.context = chromium.new_context(extra_http_headers={"X-Forwarded-For": address})
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT * 1000)
        self.page.goto(f"{url}/?method=random_mask&prompt=a+red+cube")
        self.page.wait_for_function("document.querySelector('#prompt textarea')?.value === 'a red cube'")
        self.page.wait_for_selector("#running .empty")
        self.ask()

    def ask(self):
        self.number, self.began = self.number + 1, time.monotonic()
        self.page.get_by_label("Seed", exact=True).fill(str(self.number))
        self.page.locator("#generate").click()

    def look(self):
        """Whether the picture is there; then the next one is asked for."""
        shown = self.page.locator("#facts .said")
        if not shown.count() or f"seed {self.number}." not in shown.inner_text():
            assert not self.page.locator("#status .failed").count(), self.page.locator("#status").inner_text()
            return False
        self.waits.append(time.monotonic() - self.began)
        self.ask()
        return True

    def close(self):
        self.context.close()


class Hostile(Visitor):
    """Floods with calls that nobody reads, drops streams, uploads, and sends whatever fits nowhere."""

    def __init__(self, *given):
        super().__init__(*given)
        self.known = {each["api_name"]: each for each in self.handlers() if each["backend_fn"]}
        self.done = Counter()

    def once(self):
        act = self.draw.choice([self.unread, self.dropped, self.upload, self.wrong, self.posted])
        with suppress(httpx.HTTPError):
            act()
        self.done[act.__name__] += 1
        time.sleep(0.02)

    def ask(self, name, values):
        session = secrets.token_hex(6)
        body = {"data": values, "fn_index": self.known[name]["id"], "session_hash": session}
        self.raw.post(JOIN, json=body)
        return session

    def unread(self):
        fields = ["a cube", "", 1, "tiny", "plain", "", 100, 0, "", None, None, None, secrets.token_hex(4)]
        self.ask(*self.draw.choice([("check", fields), ("start", fields), ("watch", [{"id": secrets.token_hex(6)}])]))

    def dropped(self):
        session = self.ask("compare", ["a cube", "", 1, "tiny", "plain"] + [""])
        with self.raw.stream("GET", DATA, params={"session_hash": session}) as lines:
            next(lines.iter_lines(), None)

    def upload(self):
        path = self.raw.post("/gradio_api/upload", files={"files": ("a.zip", self.draw.randbytes(2000))}).json()[0]
        self.ask("take", [{"path": path, "meta": {"_type": "gradio.FileData"}}, [], ""])

    def wrong(self):
        name = self.draw.choice(sorted(self.known))
        values = [self.draw.choice([None, [], {}, "x", -1, [[1]], True]) for _ in self.known[name]["inputs"]]
        session = self.ask(name, values)
        for line in self.raw.get(DATA, params={"session_hash": session}).text.splitlines():
            told = json.loads(line[5:]) if line.startswith("data:") else {}
            if told.get("success") is False and not told.get("output", {}).get("error"):
                raise AssertionError(f"{name} answered {values} with an empty error")

    def posted(self):
        self.raw.post(CALL, json={"data": ["a cube", "", 1, "tiny", "slow", ""]})
