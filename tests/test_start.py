"""From nothing to a page and back: `python app.py` without GPU, network or weights, and Ctrl+C at its end."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from maskunet import app

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux tells what processes do")
WAIT = 240  # seconds; a slow machine under load
# What no first answer needs; each takes seconds to import. `bench start` times the rest.
LATER = (
    "accelerate",
    "diffusers",
    "matplotlib.axes",
    "peft",
    "scipy.stats",
    "sklearn",
    "torch._dynamo",
    "transformers",
)
# Only this computer can be reached, and a warning of gradio is an error.
OFFLINE = (
    f"LATER = {LATER}"
    + """
import ipaddress, runpy, sys, warnings
def look(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple) and not ipaddress.ip_address(args[1][0]).is_loopback:
        print("FOREIGN", args[1], flush=True)
        raise OSError("no network")
    if event == "socket.getaddrinfo" and args[0] not in (None, "localhost", "127.0.0.1", "::1"):
        print("FOREIGN", args[0], flush=True)
        raise OSError("no network")
    if event == "socket.bind" and args[1][1] == PORT and "uvicorn" in sys.modules:
        print("LOADED", *sorted(set(LATER) & set(sys.modules)), flush=True)
sys.addaudithook(look)
warnings.filterwarnings("error", module="gradio|maskunet", category=UserWarning)
warnings.filterwarnings("error", module="maskunet", category=DeprecationWarning)
sys.argv = ["app.py", *sys.argv[1:]]
PORT = int(sys.argv[2])
runpy.run_path("app.py", run_name="__main__")
"""
)


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def children(pid):
    """The processes that any of its threads started."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that ended meanwhile
            found += map(int, thread.read_text().split())
    return found


def hears_ctrl_c():
    """As in a terminal, also where the tests were started in a shell's background, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def busy():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def refused(monkeypatch, *flags):
    """What a start that cannot be ends with."""
    monkeypatch.setattr(sys, "argv", ["app.py", *flags])
    with pytest.raises(SystemExit) as ended:
        app.main()
    return str(ended.value)


def test_a_start_that_cannot_be_ends_with_one_sentence(monkeypatch, busy, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    here, runs = ["--port", str(free_port())], ["--runs", str(tmp_path / "runs")]
    wrong = {
        f"Port {busy} is in use": ["--port", str(busy)],
        "There is no computer “no.such.invalid”": [*here, "--host=no.such.invalid", "--open"],
        "This computer is not at “192.0.2.1”": [*here, "--host=192.0.2.1", "--open"],
        "There is no model “sd9”": [*here, *runs, "--model=sd9"],
        "There is no device “tpu”": [*here, *runs, "--device=tpu"],
        "holds no Stable Diffusion model": [*here, *runs, "--weights", str(tmp_path)],
    }
    for said, flags in wrong.items():
        text = refused(monkeypatch, *flags)
        assert said in text and "\n" not in text


def test_a_model_that_is_not_here_is_no_page_over_another_ones_pictures(monkeypatch, tmp_path):
    text = app.lacking("sd15", "It is not on this machine. To download it: x", True)
    assert "download sd15, then python -m maskunet download rewards" in text and "download it: x" not in text
    monkeypatch.setattr("maskunet.library.library.Library.missing", lambda *_: "It is not here.")
    flags = ["--port", str(free_port()), "--runs", str(tmp_path / "runs"), "--device=cpu", "--model=sd15"]
    assert "download sd15, then python -m maskunet download rewards" in refused(monkeypatch, *flags)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A lab in a process of its own: the process, its port, what its page is, and its home."""
    home, port = tmp_path_factory.mktemp("home"), free_port()
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"):
        os.environ.pop(name, None)
    environment = {
        **os.environ,
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "GRADIO_TEMP_DIR": str(home / "cache"),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONUNBUFFERED": "1",
        "GRADIO_SERVER_PORT": "",
        "http_proxy": "http://192.0.2.1:1",
        "all_proxy": "socks5://192.0.2.1:1",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", OFFLINE, "--port", str(port), "--runs", str(home / "runs")]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, preexec_fn=hears_ctrl_c
        )
        try:
            page = wait_for_page(process, port, home / "log")
            yield process, port, page, home
        finally:
            process.kill()
            process.wait()


def wait_for_page(process, port, log):
    deadline = time.monotonic() + WAIT
    with httpx.Client(timeout=WAIT, trust_env=False) as client:  # one for all: each reads the computer's certificates
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            try:
                return client.get(f"http://127.0.0.1:{port}/config").json()
            except httpx.ConnectError:
                time.sleep(0.1)
    raise AssertionError("no page")


def page_text(page):
    return "\n".join(str(each["props"].get("value")) for each in page["components"])


def test_25_the_page_opens_without_gpu_network_or_weights_and_fetches_nothing(lab):
    *_, page, home = lab
    text = str(page)
    assert "Tabletop" in text and "not on this machine" in text  # Stable Diffusion, with its reason
    assert "FOREIGN" not in (home / "log").read_text()
    assert not (home / "hf").exists() or not list((home / "hf").rglob("*.safetensors"))


def test_26_the_page_waits_for_nothing_that_it_does_not_need(lab):
    """Seconds would tell how busy the machine is; what is imported when it listens tells what it waited for."""
    told = [line.split()[1:] for line in (lab[3] / "log").read_text().splitlines() if line.startswith("LOADED")]
    assert told and told[0] == []


def test_19_only_this_computer_reaches_it(lab):
    _, port, *_ = lab
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells this machine's own address
        except OSError:
            pytest.skip("this machine has no address but its own")
        address = probe.getsockname()[0]
    with socket.socket() as door:
        door.settimeout(5)
        assert door.connect_ex((address, port)) != 0


def test_28_nothing_warns(lab):
    assert "Warning" not in (lab[3] / "log").read_text()


def test_35_the_page_says_what_is_not_filtered_and_which_licenses_hold(lab):
    text = str(lab[2])
    assert "Stable Diffusion, whose safety checker is not loaded" in text
    assert "CreativeML OpenRAIL-M" in text


def test_34_ctrl_c_ends_everything(lab):
    """The last of this file."""
    process = lab[0]
    while "To create a public link" not in (lab[3] / "log").read_text():
        time.sleep(0.1)  # the page answers a moment before the start is over
    time.sleep(1)  # after the last line it waits for Ctrl+C
    family = [process.pid, *children(process.pid)]
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    assert caught >> (signal.SIGTERM - 1) & 1  # as a service is ended: the same way out
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=WAIT) == 0, (lab[3] / "log").read_text()
    assert "Traceback" not in (lab[3] / "log").read_text()
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]
