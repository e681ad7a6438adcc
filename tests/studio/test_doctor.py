"""python -m maskunet doctor: what it says of a machine that can, and of one that cannot."""

import json
import re
import socket
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from maskunet.commands.registry import main
from maskunet.library.library import Library
from maskunet.studio import doctor
from tests.support import tiny_library

COUNTED = Path(__file__).parents[2] / "docs" / "results" / "bench" / "memory_sdxl.json"


@pytest.fixture
def free_port():
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def said(findings):
    found = {}
    for finding in findings:
        found.setdefault(finding.name, []).append(finding)
    return found


def test_a_machine_that_can_is_described_measured_and_sent_on(library, free_port, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("maskunet.library.library.Library", lambda *args, **added: library)
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 8e9}))
    assert main(["doctor", f"--port={free_port}", f"--runs={tmp_path / 'not' / 'there'}"]) == 0
    out = capsys.readouterr().out
    for part in (
        "torch 2",
        "CPU, ",
        "float32",
        "8.0 GB are free",
        f"{free_port} is free",
        "Tiny random is here",
    ):
        assert part in out, part
    assert re.search(r"tiny works\. Unmasked, a step takes [\d.]+ m?s .* preset official about [\d.]+ m?s\.", out)
    assert out.endswith("python app.py\n") and "!" not in out and str(tmp_path) not in out


def test_what_is_lacking_is_marked_and_is_an_exit_code(tmp_path, monkeypatch, capsys):
    folder = tiny_library.write(tmp_path / "model")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"cut off")
    broken = tiny_library.read(folder)
    monkeypatch.setattr("maskunet.library.library.Library", lambda *args, **added: broken)
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["doctor", f"--port={port}", f"--runs={tmp_path}"]) == 1
    out = capsys.readouterr().out
    marked = [line.split()[1] for line in out.splitlines() if line.startswith("! ")]
    assert {"Port", "Speed"} <= set(marked)
    assert f"Port {port} is in use; end what uses it, or give another one with --port." in out
    assert "tiny does not work here" in out and str(tmp_path) not in out and "Traceback" not in out


def test_bounds_are_where_they_are_said_to_be():
    assert doctor.memory(doctor.MEMORY).good and not doctor.memory(doctor.MEMORY - 0.1).good
    assert doctor.disk(doctor.DISK).good and not doctor.disk(0).good
    assert "1.9 GB are free" in doctor.memory(1.9).said


@pytest.mark.parametrize(("free", "advised", "good"), [(24, False, True), (10, True, True), (6, True, False)])
def test_a_small_card_is_sent_to_the_switch_for_less_memory(free, advised, good):
    found = doctor.card(free, needed=True)
    assert (("low_memory=true" in found.said), found.good) == (advised, good)
    assert doctor.card(free, needed=False).good


def test_weights_that_are_not_here_do_not_stop_the_lab_unless_it_is_to_start_with_them(monkeypatch, tmp_path):
    monkeypatch.setattr("maskunet.library.weights._cached", lambda *args: None)
    monkeypatch.setattr("maskunet.records.disk.hub.rewards_place", lambda: tmp_path)
    monkeypatch.setattr(doctor, "speed", lambda library: doctor.Finding("Speed", "not asked"))
    for model, good in (("tabletop", True), ("sd15", False)):
        found = said(doctor.examine(Library(model, device="cpu"), 0, tmp_path))
        assert found["Weights"][0].good is good
        assert all(finding.good for finding in found["Weights"][1:])
        assert "python -m maskunet download rewards" in found["Rewards"][0].said


def test_on_a_gpu_its_memory_is_looked_at(library, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(10e9), int(12e9)))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: int(1e9))
    about = SimpleNamespace(name="a card", total_memory=12 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: about)
    (found,) = said(doctor.look(library, tmp_path))["Card"]
    assert found.said.startswith("11.0 GB are there for the lab.")
    assert said(doctor.look(library, tmp_path))["SDXL"][0] == doctor.large()


def test_what_masks_on_stable_diffusion_xl_take_is_estimated_and_agrees_with_the_count():
    told = doctor.large().said
    assert "288 sites with 482,672,640 weights" in told
    numbers = [int(number) for number in re.findall(r"(\d+) GB", told)]
    counted = {each["name"]: each["peak_gb"] for each in json.loads(COUNTED.read_text())["variants"]}
    wanted = [counted[name] for name in ("exact", "low memory", "low memory, sites=block1")]
    assert numbers == pytest.approx(wanted, rel=0.15)


def test_the_port_looked_at_is_the_pages(library, free_port, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("maskunet.library.library.Library", lambda *args, **added: library)
    monkeypatch.setattr(doctor, "speed", lambda library: doctor.Finding("Speed", "not asked"))
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(free_port))
    main(["doctor", f"--runs={tmp_path}"])
    assert f"{free_port} is free." in capsys.readouterr().out
    monkeypatch.setenv("GRADIO_SERVER_NAME", "no.such.invalid")
    assert main(["doctor", f"--runs={tmp_path}"]) == 1
    assert "There is no computer “no.such.invalid”" in capsys.readouterr().out
    monkeypatch.setenv("GRADIO_SERVER_PORT", "80a")
    with pytest.raises(SystemExit):
        main(["doctor", f"--runs={tmp_path}"])
    assert "(or GRADIO_SERVER_PORT) takes a number from 1 to 65535, not “80a”" in capsys.readouterr().err
