"""Remove a growing share of the weights of one layer and see how the U-Net's output moves.

In a clone: python -m examples.01_mask_one_layer
"""

import torch

from maskunet import Lab, MaskedUNet, bernoulli, find_sites

PROMPT, SEED, TIMESTEP = "a red cube and a blue sphere", 7, 599


def main() -> dict[float, float]:
    model = Lab("tabletop", device="cpu").model
    site = next(s for s in find_sites(model.unet) if s.attention == "cross" and s.role == "v")
    print(f"{site.name}, {site.shape[0]} x {site.shape[1]} weights")
    text, x_t = model.encode(PROMPT), model.noise(SEED)
    moved = {}
    with torch.no_grad(), MaskedUNet(model.unet) as masked:
        features = masked.encode(torch.cat((x_t, x_t)), TIMESTEP, text)
        plain = masked.decode(features)
        for removed in (0.0, 0.1, 0.3, 0.6, 1.0):
            generator = torch.Generator().manual_seed(SEED)
            masks = {site.name: bernoulli(site.shape, removed, generator)}
            change = masked.decode(features, masks) - plain
            moved[removed] = float(change.norm() / plain.norm())
            print(f"removed {removed:4.0%}: the output moves by {moved[removed]:.4f} of its norm")
    return moved


if __name__ == "__main__":
    main()
