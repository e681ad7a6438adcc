"""Which weights go, where and when: compare an optimized mask with a random one, and draw both.

In a clone: python -m examples.04_explore_the_masks
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from maskunet import Lab, Request, Run
from maskunet.runs import figures
from visualize.base import chance

REQUEST = Request(prompt="a red cube and a blue sphere", seed=7, method="maskunet_free", preset="improved")
CONTROL = {"method": "random_mask", "preset": "start"}


def main(out: Path, request: Request = REQUEST) -> dict[str, Run]:
    lab = Lab("tabletop", device="cpu")
    made = {}
    for asked in (request, replace(request, **CONTROL, settings={})):
        made[asked.method] = run = lab.compare(asked)
        describe(run)
        for line in figures.write(run, out / asked.method):
            print(f"  {line}")
    return made


def describe(run: Run) -> None:
    stats = run.stats
    all_sites = stats.at(None)
    last, ratio = len(stats.timesteps) - 1, all_sites.ratio[:, 0]
    most = stats.sites[int(np.argmax(stats.ratio[last]))]
    kept = all_sites.overlap("before")[1:, 0]
    print(f"{run.request.method}: {ratio[0]:.2%} removed at the first step, {ratio[-1]:.2%} at the last")
    print(f"  at the last step {most} loses most: {stats.ratio[last].max():.2%}")
    print(f"  overlap with the step before {np.nanmean(kept):.3f}, by chance {chance(ratio, ratio).mean():.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "figures"))
