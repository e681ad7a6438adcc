"""This process: the device and the dtype, and what the lab sets for torch before it is imported, unless the user has."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from maskunet import machine
from maskunet.machine import USERS

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[1]
# What torch would find when it is imported, by either way in; torch itself stays away.
FOUND = """
import atexit, os, sys
sys.modules["torch"] = None
atexit.register(lambda: print(os.environ.get("{name}")))
"""
WAYS = ["import app", "from maskunet.__main__ import main; main(['--help'])"]


@pytest.mark.parametrize("way", WAYS, ids=["page", "command line"])
@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("GOMP_SPINCOUNT", None, "3000"),
        ("GOMP_SPINCOUNT", "17", "17"),
        ("PYTORCH_CUDA_ALLOC_CONF", None, "expandable_segments:True"),
        ("PYTORCH_CUDA_ALLOC_CONF", "backend:native", "backend:native"),
    ],
)
def test_it_is_set_before_torch_is_imported_and_the_users_own_stays(name, given, found, way):
    environment = {each: value for each, value in os.environ.items() if each != name}
    environment |= {} if given is None else {name: given}
    done = subprocess.run(
        [sys.executable, "-c", FOUND.replace("{name}", name) + way],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    assert done.stdout.split()[-1] == found, done.stderr


# How many pages the system hands out anew to each of ten rounds that take 100 buffers of 1 MB and free them.
ROUNDS = """
import resource, sys, threading
from maskunet.machine import prepare
prepare()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    buffers = [bytearray(1 << 20) for _ in range(100)]
    del buffers
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def work():
    print(*(faults() for _ in range(10)))
thread = threading.Thread(target=work)
thread.start(); thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's malloc")
@pytest.mark.parametrize(("users", "kept"), [({}, True), ({"MALLOC_TRIM_THRESHOLD_": "131072"}, False)])
def test_freed_memory_is_kept_for_the_next_round_unless_the_user_has_said_otherwise(users, kept):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(USERS)}
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS], capture_output=True, text=True, cwd=ROOT, env=environment | users
    )
    later = [int(word) for word in done.stdout.split()[1:]]
    assert len(later) == 9, done.stderr
    assert (max(later) < 1000) == kept, later  # all of a round's pages are 25,600


def test_the_device_is_the_best_one_here_and_an_absent_one_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert machine.choose_device() == CPU
    with pytest.raises(ValueError, match="no device “cuda” on this machine. It has: cpu"):
        machine.choose_device("cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert machine.choose_device().type == "mps"
    assert machine.choose_device("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert machine.choose_device().type == "cuda"
    assert machine.choose_device("cuda:1").index == 1


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_cuda_computes_in_bfloat16_where_it_is_native(monkeypatch, native, dtype):
    monkeypatch.setattr(torch.cuda, "device", lambda d: torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert machine.choose_dtype(torch.device("cuda")) == dtype
    assert machine.choose_dtype(CPU) == torch.float32
