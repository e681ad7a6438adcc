"""Does a random mask help? One prompt, a few seeds, three ratios, each beside the plain picture.

In a clone: python -m examples.05_random_masks
"""

import sys
from pathlib import Path

from maskunet import Lab, Request
from maskunet.experiments import study
from maskunet.library.library import Loaded
from maskunet.tabletop import checker
from maskunet.tabletop.place import CHECKER
from visualize import seed_grid

TASK, SEEDS, RATIOS = "colors", 3, (0.01, 0.066, 0.2)
REQUEST = Request(prompt="-", model="tabletop")  # prompt and seed come from the task


def main(out: Path, request: Request = REQUEST) -> dict:
    lab = Lab("tabletop", device="cpu")
    loaded = Loaded(model=lab.model, rewards=lab.rewards, checker=checker.load(CHECKER))
    chosen = study.variants(["iid"], RATIOS, centers=())
    work = study.jobs(study.subjects(TASK, n=1, seeds=SEEDS), chosen)
    rows, images = zip(*study.study(loaded, request, work=work), strict=True)
    found = study.summarize(rows)
    print(f"“{rows[0]['prompt']}”, {SEEDS} seeds\n{study.table(found)}")
    rewards, correct = ([row["rewards"]["total"] for row in rows], [row["correct"] for row in rows])
    seed_grid.draw(
        *(study.by_variant(values, SEEDS) for values in (images, rewards, correct)),
        rows=["plain", *(f"{ratio:.1%} removed" for ratio in RATIOS)],
        columns=[f"seed {row['seed']}" for row in rows[:: 1 + len(RATIOS)]],
        title=f"“{rows[0]['prompt']}”; total reward, ✓ correct, ✗ wrong",
    ).savefig(out, dpi=150)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "random-masks.png"))
