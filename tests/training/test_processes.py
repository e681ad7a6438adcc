"""Two processes train to the losses of one.

Started as torchrun starts them, which itself starts those of tests/experiments/test_picture_folder.py: `accelerate
launch` starts several processes for GPUs, and on CPUs only through MPI; accelerate itself takes both alike.
"""

import json
import socket

import pytest

from maskunet.training.recipes import SPECS
from tests.support.fresh import started
from tests.support.tiny import tiny_sd_folder
from tests.training.test_loop import losses, run


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
    words = ["-m", "tests.support.train_in_processes", folder, home, *NAMES]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "GLOO_SOCKET_IFNAME": "lo"}
    sizes = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        started(words, said=home / f"said-{rank}.txt", RANK=rank, LOCAL_RANK=rank, **place, **sizes) for rank in "01"
    ]
    for rank, process in enumerate(processes):
        process.join(timeout=240)
        assert process.exitcode == 0, (home / f"said-{rank}.txt").read_text()[-2000:]
    return {name: home / name for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_have_the_losses_of_one(name, tiny_sd15, together, tmp_path, short_sheets):
    alone = losses(run(tiny_sd15, SPECS[name], tmp_path, micro_batch=1))
    for rank in (0, 1):
        found = json.loads((together[name] / f"losses-{rank}.json").read_text())
        assert found == pytest.approx(alone, rel=1e-3)
    assert len((together[name] / "log.csv").read_text().splitlines()) == 1 + len(alone)
