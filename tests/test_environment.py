"""Torch finds what the lab sets for it, set before it reads it, unless the user has said otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
