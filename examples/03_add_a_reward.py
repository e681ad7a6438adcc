"""Write a reward of your own and optimize it: here, simply how blue the picture is.

In a clone: python -m examples.03_add_a_reward
"""

import torch

from maskunet import Lab, Request
from maskunet.rewards.base import WeightedRewards

REQUEST = Request(prompt="a sphere", seed=5, method="maskunet_free", preset="official", previews=False)


def blueness(image: torch.Tensor, prompts: list[str]) -> torch.Tensor:
    """Mean blue minus mean red, (B,); any function of the picture with a gradient will do."""
    return 20 * (image[:, 2] - image[:, 0]).mean((1, 2))


def main(request: Request = REQUEST) -> tuple[float, float]:
    lab = Lab("tabletop", device="cpu")
    lab.rewards = WeightedRewards({"blueness": (blueness, 1.0)})
    run = lab.compare(request)
    before, after = run.base_rewards["blueness"], run.rewards["blueness"]
    print(f"blueness unmasked {before:.3f}, masked {after:.3f}")
    return before, after


if __name__ == "__main__":
    main()
