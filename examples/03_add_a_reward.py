"""Write a reward of your own and optimize it: here, simply how blue the picture is."""

import torch

from maskunet.library.library import Library
from maskunet.methods import SPECS
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards

REQUEST = Request(prompt="a sphere", seed=5, method="maskunet_free", preset="official", previews=False)


class Blueness:
    """Mean blue minus mean red, (B,); any function of the picture with a gradient will do."""

    def __call__(self, image: torch.Tensor, prompts: list[str]) -> torch.Tensor:
        return 20 * (image[:, 2] - image[:, 0]).mean((1, 2))


class Nothing:
    """Stands where HPSv2 was."""

    def __call__(self, image: torch.Tensor, prompts: list[str]) -> torch.Tensor:
        return image.new_zeros(len(image))


def main(request: Request = REQUEST) -> tuple[float, float]:
    model = Library("tabletop", device="cpu").load("tabletop").model
    rewards = WeightedRewards({"image_reward": (Blueness(), 1.0), "hpsv2": (Nothing(), 0.0)})
    found = []
    for name in ("plain", "maskunet_free"):
        spec = SPECS[name]
        settings = spec.settings("", request.settings if name == "maskunet_free" else None)
        *_, last = spec.run(model, rewards, request, settings)
        found.append(last.rewards["total"])
        print(f"{spec.title}: blueness {found[-1]:.3f}")
    return found[0], found[1]


if __name__ == "__main__":
    main()
