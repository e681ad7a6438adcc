"""Threads of torch spin as long as the lab says, set before torch reads it, unless the user has said otherwise."""

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
atexit.register(lambda: print(os.environ.get("GOMP_SPINCOUNT")))
"""
WAYS = ["import app", "from maskunet.__main__ import main; main(['--help'])"]


@pytest.mark.parametrize("way", WAYS, ids=["page", "command line"])
@pytest.mark.parametrize(("given", "found"), [(None, "3000"), ("17", "17")])
def test_it_is_set_before_torch_is_imported_and_the_users_own_stays(given, found, way):
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    environment |= {} if given is None else {"GOMP_SPINCOUNT": given}
    done = subprocess.run(
        [sys.executable, "-c", FOUND + way], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert done.stdout.split()[-1] == found, done.stderr
