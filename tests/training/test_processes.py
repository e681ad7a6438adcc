"""Two processes train to the losses of one.

Started by torchrun: `accelerate launch` starts several processes for GPUs, and on CPUs only through MPI;
accelerate itself takes both alike.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from maskunet.training.recipes import SPECS
from tests.support.tiny import tiny_sd_folder
from tests.training.test_loop import losses, run

ROOT = Path(__file__).parents[2]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


NAMES = "mask_generator", "lora", "mask_preference"


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder of each training by two processes, by its name."""
    home = tmp_path_factory.mktemp("together")
    folder = tiny_sd_folder(home / "model")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--master_addr", "127.0.0.1", "--master_port", str(free_port()),
        "-m", "tests.support.train_in_processes", str(folder), str(home), *NAMES,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: home / name for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_have_the_losses_of_one(name, tiny_sd15, together, tmp_path):
    alone = losses(run(tiny_sd15, SPECS[name], tmp_path, micro_batch=1))
    for rank in (0, 1):
        found = json.loads((together[name] / f"losses-{rank}.json").read_text())
        assert found == pytest.approx(alone, rel=1e-3)
    assert len((together[name] / "log.csv").read_text().splitlines()) == 1 + len(alone)
