"""Hundreds of runs through one server with everything that goes wrong meanwhile: what grows, and what is lost?

python -m tests.support.soak --model tabletop --runs 200 --out FILE
"""

import argparse
import gc
import hashlib
import json
import math
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import torch

from maskunet import machine
from maskunet.library.library import Library, Loaded
from maskunet.machine import versions
from maskunet.records import Request
from maskunet.runs import run_folder
from maskunet.studio.shelf import MAX_RUNS, RUN_ID
from maskunet.studio.studio import Studio
from tests.support import generated
from tests.support.serving import served

FAULTS = ("none", "stopped", "reader closed", "client killed", "out of memory", "not a number")
METHODS = {"plain": {}, "random_mask": {}, "maskunet_free": {"updates": 1, "early_steps": 0}}
EVERY = 10  # runs between two measurements, each with the baselines
WARM = 3  # measurements before those that count
CLIENT = """
import http.client, json, sys
def send(method, path, body=None):
    connection = http.client.HTTPConnection(sys.argv[1])
    connection.request(method, path, body, {"Content-Type": "application/json"})
    return connection.getresponse()
values = json.dumps({"data": json.loads(sys.argv[2])})
event = json.loads(send("POST", "/gradio_api/call/compare", values).read())["event_id"]
for line in send("GET", f"/gradio_api/call/compare/{event}"):
    print(line.decode(), end="", flush=True)
"""  # a program of its own, so that it can be killed


class Faulty:
    """The rewards; what is in `plan` happens at the next uses, the last entry first."""

    def __init__(self, rewards, plan):
        self._rewards, self._plan = rewards, plan
        self.weights = rewards.weights

    def optimizing(self, weights):
        return Faulty(self._rewards.optimizing(weights), self._plan)

    def __call__(self, image, prompts):
        fault = self._plan.pop() if self._plan else "none"
        if fault == "out of memory":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        scores = self._rewards(image, prompts)
        return {name: value * math.nan for name, value in scores.items()} if fault == "not a number" else scores


class Soak:
    """One server under load.

    Args:
        library: its default model is used. place: a folder for its runs. url: of its page.
    """

    def __init__(self, studio, library, place, url, seed):
        self.studio, self.place, self.url = studio, place, url
        self.draw, self.plan = random.Random(seed), []
        name = library.default
        loaded = library.load(name)
        library._loaded[library._key(name, None)] = Loaded(
            model=loaded.model, rewards=Faulty(loaded.rewards, self.plan)
        )
        self.model, self.untouched = loaded.model, generated.weights_of(loaded.model)
        self.outcomes, self.samples, self.baselines = Counter(), [], []
        self.made: list[str] = []  # every run's id, the newest last
        self.pictures: dict[str, str] = {}  # of the finished ones, by id

    def go(self, n):
        """Make n runs; yields a report after every few, with a measurement and the baselines."""
        for number in range(n):
            if number % EVERY == 0:
                self.measure(number)
                yield self.report()
            fault = FAULTS[number % len(FAULTS)]
            self.outcomes[f"{fault}: {self.once(fault)}"] += 1
        self.measure(n)
        yield self.report()

    def request(self):
        method = self.draw.choice(sorted(METHODS))
        return Request(
            prompt=self.draw.choice(["a red cube", "a blue sphere and a red cube"]),
            steps=self.draw.randint(2, 4),
            seed=self.draw.randrange(2**32),
            model=self.model.name,
            method=method,
            settings=METHODS[method],
        )

    def once(self, fault):
        """One run and what befalls it; how it ended."""
        if fault == "client killed":
            return self.killed()
        self.plan[:] = [fault, "none"] if fault in ("out of memory", "not a number") else []
        job = self.studio.start(self.request())
        events = self.studio.events(job)
        for _ in range(self.draw.randint(1, 6)):
            next(events, None)
        if fault == "reader closed":
            events.close()
        if fault == "stopped":
            self.studio.stop(job)
        *_, last = self.studio.events(job)
        self.plan.clear()
        self.remember()
        return last.phase

    def killed(self):
        """A program that asks over HTTP and is killed while it listens; its run goes on without it."""
        values = json.dumps(["a red cube", "", self.draw.randrange(2**32), self.model.name, "random_mask", ""])
        host = self.url.removeprefix("http://")
        client = subprocess.Popen([sys.executable, "-c", CLIENT, host, values], stdout=subprocess.PIPE)
        client.stdout.readline()
        time.sleep(self.draw.random() / 4)
        client.kill()
        client.communicate()
        while sum(self.studio._queue.counts()):
            time.sleep(0.01)
        self.remember()
        return "done"

    def remember(self):
        """Take note of the runs that are new on the disk, and of the pictures of those that were finished."""
        new = [p for p in self.place.iterdir() if RUN_ID.fullmatch(p.name) and p.name not in self.made]
        for path in sorted(new, key=lambda p: p.stat().st_mtime):
            self.made.append(path.name)
            if run_folder.read(path).state == "done":
                self.pictures[path.name] = picture(path)

    def measure(self, number):
        """What the process holds now, after the two baselines."""
        for method in ("plain", "maskunet_free"):
            asked = Request(
                prompt="a red cube",
                seed=7,
                steps=2,
                model=self.model.name,
                method=method,
                settings=METHODS[method],
            )
            job = self.studio.start(asked)
            *_, last = self.studio.events(job)
            self.baselines.append((method, last.run.result_image.tobytes()))
        self.remember()
        generated.assert_unchanged(self.model, self.untouched)
        gc.collect()
        self.samples.append(
            {"runs": number, "megabytes": resident(), "threads": threading.active_count(), "files": len(os.listdir("/proc/self/fd")),
             "disk_megabytes": size(self.place), "kept": len(list(self.place.iterdir()))}
        )  # fmt: skip

    def report(self):
        """What was found, as plain values."""
        counted = self.samples[WARM:] or self.samples
        growth = {name: counted[-1][name] - counted[0][name] for name in ("megabytes", "threads", "files")}
        finished = [name for name in self.made[-MAX_RUNS:] if name in self.pictures]
        return {
            "runs": self.samples[-1]["runs"],
            "outcomes": dict(sorted(self.outcomes.items())),
            "growth_after_warm_up": growth,
            "kept": self.samples[-1]["kept"],
            "disk_megabytes": self.samples[-1]["disk_megabytes"],
            "finished": len(finished),
            "lost_or_changed": sum(not self.is_there(name) for name in finished),
            "baselines": len(self.baselines),
            "baselines_that_differ": len(set(self.baselines)) - 2,
            "samples": self.samples,
        }

    def is_there(self, name):
        path = self.place / name
        return path.is_dir() and run_folder.read(path).state == "done" and picture(path) == self.pictures[name]


def picture(folder):
    return hashlib.sha256((folder / run_folder.RESULT).read_bytes()).hexdigest()


def resident():
    """Megabytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def size(folder):
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def soak(library, place, n, seed=0):
    """The reports of n runs on a server of their own, the last one of them all."""
    library.load(library.default)
    studio = Studio(place, library=library)
    place.mkdir(exist_ok=True)
    with served(studio, {}) as url:
        yield from Soak(studio, library, place, url, seed).go(n)


def main():
    """Soak and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    began, library = time.monotonic(), Library(args.model, device="cpu")
    about = {
        "command": f"python -m tests.support.soak --model {args.model} --runs {args.runs} --out FILE",
        "machine": f"{machine.device_name(library.device)}, {platform.machine()}, {torch.get_num_threads()} threads",
        "versions": versions(),
    }
    with tempfile.TemporaryDirectory() as place:
        for found in soak(library, Path(place) / "runs", args.runs):
            minutes = round((time.monotonic() - began) / 60, 1)
            args.out.write_text(json.dumps(about | {"minutes": minutes} | found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
