"""Torch finds what the lab sets for it, set before it reads it, unless the user has said otherwise."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from maskunet.machine import USERS

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
