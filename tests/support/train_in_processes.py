"""Run by training/test_processes.py in each process: train on a small model, write the losses."""

import json
import sys
from pathlib import Path

import torch

from maskunet.models.base import from_folder
from maskunet.records.training import TrainEvent
from maskunet.training import loop, shelves
from maskunet.training.recipes import SPECS
from tests.training.test_loop import ABOUT, REWARDS, Four, settings


def main(folder, home, *names):
    torch.set_num_threads(1)
    shelves.SHELF = 1  # so that each process makes some of the pictures
    model = from_folder(Path(folder), name="tiny", guidance=3.0, device=torch.device("cpu"), dtype=torch.float32)
    for name in names:
        spec, out = SPECS[name], Path(home) / name
        chosen = settings(spec, micro_batch=1)
        events = loop.train(model, spec, chosen, Four(), out, about=ABOUT, rewards=REWARDS)
        losses = [event.loss for event in events if isinstance(event, TrainEvent)]
        if torch.distributed.is_initialized():
            (out / f"losses-{torch.distributed.get_rank()}.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    main(*sys.argv[1:])
