"""Watch Algorithm 1 work on one prompt: print every step, save both pictures and the curves.

In a clone: python -m examples.02_optimize_one_prompt
"""

import sys
from pathlib import Path

from maskunet import Lab, Request, compare, plot, save

REQUEST = Request(prompt="a yellow cone and a blue cube", seed=3, method="maskunet_free", preset="official")


def main(out: Path, request: Request = REQUEST) -> Path:
    lab = Lab("tabletop", device="cpu")
    for phase, item in compare(lab.model, lab.rewards, request):
        if phase == "result" and item.update == 0 and not item.final:
            print(f"step {item.step + 1:2d} of {item.steps}: total reward {item.rewards['total']:.3f}")
    run = item  # the last thing that compare gives is the Run
    print(f"unmasked {run.base_rewards['total']:.3f}, masked {run.rewards['total']:.3f}")
    save(run, out)
    plot("reward_curve", run).savefig(out.with_suffix(".png"), dpi=150)
    return out


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "my-run"))
