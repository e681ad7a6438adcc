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


@pytest.mark.parametrize("name", ["mask_generator", "lora"])
def test_two_processes_have_the_losses_of_one(name, tiny_sd15, tmp_path):
    alone = losses(run(tiny_sd15, SPECS[name], tmp_path / "alone", micro_batch=1))
    folder, out = tiny_sd_folder(tmp_path / "model"), tmp_path / "together"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--master_addr", "127.0.0.1", "--master_port", str(free_port()),
        "-m", "tests.support.train_in_processes", str(folder), str(out), name,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    for rank in (0, 1):
        together = json.loads((out / f"losses-{rank}.json").read_text())
        assert together == pytest.approx(alone, rel=1e-3)
    assert len((out / "log.csv").read_text().splitlines()) == 1 + len(alone)
