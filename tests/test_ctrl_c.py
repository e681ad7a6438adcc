"""Ctrl+C while everything is in use: the program ends within seconds, and nothing of it is left."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from maskunet.runs import run_folder
from maskunet.studio.features import FeatureStudio
from maskunet.studio.shelf import RUN_ID
from maskunet.ui import controls
from tests.test_start import ROOT, WAIT, children, free_port, hears_ctrl_c, wait_for_page

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux tells what processes do")
WITHIN = 10  # seconds
COMPARE = ["a red cube", "", 1, "tabletop", "maskunet_free", ""]


@pytest.fixture
def lab(tmp_path):
    """A lab in a process of its own, its port and its handlers."""
    port, log = free_port(), tmp_path / "log"
    command = [sys.executable, ROOT / "app.py", "--port", str(port), "--model=tabletop"]
    (tmp_path / "temp").mkdir()
    places = {"HF_HOME": str(tmp_path / "hf"), "TMPDIR": str(tmp_path / "temp"), "PYTHONPATH": str(ROOT)}
    environment = {name: value for name, value in os.environ.items() if name != "GRADIO_TEMP_DIR"} | places
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--device=cpu"], cwd=tmp_path, env=environment | {"PYTHONUNBUFFERED": "1"}, stdout=file,
            stderr=file, preexec_fn=hears_ctrl_c,
        )  # fmt: skip
        try:
            page = wait_for_page(process, port, log)
            while "To create a public link" not in log.read_text():
                time.sleep(0.1)  # the page answers a moment before the start is over
            yield process, port, page["dependencies"]
        finally:
            process.kill()
            process.wait()


class Crowd:
    """Visitors who ask and open their streams, and read no more of them than is asked for here."""

    def __init__(self, port, handlers):
        self.port, self.handlers, self.held = port, handlers, []

    def send(self, text):
        """A request whose answer is left in its socket."""
        held = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)
        held.sendall(f"{text.replace(' HTTP', ' HTTP/1.1', 1)}\r\nHost: 127.0.0.1\r\n\r\n".encode())
        self.held.append(held)
        return held

    def ask(self, handler, values):
        """Call a handler from an address of its own; the socket of the stream of answers."""
        session = secrets.token_hex(6)
        body = {"data": values, "fn_index": handler["id"], "session_hash": session}
        own = httpx.HTTPTransport(verify=False, local_address=f"127.0.0.{2 + len(self.held)}")  # also of this computer
        with httpx.Client(transport=own, timeout=WAIT, trust_env=False) as client:
            asked = client.post(f"http://127.0.0.1:{self.port}/gradio_api/queue/join", json=body)
        assert asked.status_code == 200
        return self.send(f"GET /gradio_api/queue/data?session_hash={session} HTTP")

    def named(self, name, inputs):
        """The first handler of that name with so many inputs."""
        return next(d for d in self.handlers if d["api_name"].startswith(name) and len(d["inputs"]) == inputs)


def answer(stream):
    """What the call of a stream answered at its end."""
    for line in stream.makefile():
        told = json.loads(line[5:]) if line.startswith("data:") else {}
        if told.get("msg") == "process_completed":
            return told["output"]
    raise AssertionError("no answer")


def lives(pid):
    """Whether a process is there and does more than wait for its end to be noted."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def soon(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_34_ctrl_c_under_full_queues_ends_within_ten_seconds(lab, tmp_path):
    process, port, handlers = lab
    crowd, runs = Crowd(port, handlers), tmp_path / "runs"
    start = crowd.named("start", len(controls.Values._fields) + 1)
    fields = [
        *controls.Values("a red cube", "", 1, "tabletop", "maskunet_free", "", 40, 0, takes=None, lora_masks="merged")
    ]
    job = answer(crowd.ask(start, [*fields, "first"]))["data"][0]
    for number in range(12):
        crowd.ask(start, [*fields, f"owner {number}"])
    for _ in range(8):
        crowd.ask(crowd.named("watch", 1), [job])
    for _ in range(3):
        crowd.ask(crowd.named("compare", 12), [*COMPARE, 0, 0, {}, [], [], "merged"])
    soon(lambda: list(runs.glob("*/run.json")))
    sets = [card.key for card in FeatureStudio().sets()][:2]
    crowd.ask(crowd.named("follow", 7), [sets, sets[0], "t-SNE", 30, 0, "tabletop", 100])
    crowd.ask(crowd.named("begin", 6), ["tabletop", "lora", "tabletop", "mine", None, None])
    upload = "POST /gradio_api/upload HTTP\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000"
    crowd.send(upload).sendall(b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.zip"\r\n\r\nPK')
    soon(lambda: len(children(process.pid)) >= 2)

    family = [process.pid, *children(process.pid)]
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert process.wait(timeout=WAIT) == 0
    assert time.monotonic() - began < WITHIN
    time.sleep(1)  # for what ends when its parent has ended
    assert not [pid for pid in family if lives(pid)]
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert {path.name for path in runs.iterdir()} == {job["id"]}
    assert not [path for path in tmp_path.rglob(".*") if path.is_dir()]  # no part of anything
    assert not list((tmp_path / "temp").glob("maskunet-lab-*"))  # nor of the upload
    assert RUN_ID.fullmatch(job["id"]) and run_folder.read(runs / job["id"]).state in ("stopped", "interrupted")
    for held in crowd.held:
        held.close()
