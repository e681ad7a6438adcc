"""CLIP-H (OpenCLIP ViT-H-14 of LAION-2B): how well a picture fits its prompt, as nobody's preference has changed it.

PickScore and HPSv2 are this network, trained on.
"""

from functools import partial

from maskunet.rewards.base import RewardSpec, two_towers

SPEC = RewardSpec(
    name="clip_h",
    title="CLIP-H",
    summary="How well the picture fits its prompt, about 100 times a cosine.",
    license="MIT",
    source="Schuhmann et al. 2022, LAION-5B; OpenCLIP ViT-H-14",
    weight=1.0,
    repo="laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    files=(two_towers.WEIGHTS, "config.json", *two_towers.TOKENIZER),
    download_gb=3.9,
    judge=True,
    load=partial(two_towers.load, "clip_h"),
)
