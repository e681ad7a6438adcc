"""PickScore v1 (Kirstain et al. 2023): a CLIP-H trained on what people chose of two pictures for their prompt."""

from functools import partial

from maskunet.rewards.base import RewardSpec, two_towers

CLIP_H = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"  # whose tokenizer the published example takes

SPEC = RewardSpec(
    name="pickscore",
    title="PickScore",
    summary="How much people would prefer the picture for its prompt, about 100 times a cosine.",
    license="not stated",
    source="Kirstain et al. 2023, Pick-a-Pic; PickScore v1",
    weight=1.0,
    repo="yuvalkirstain/PickScore_v1",
    files=(two_towers.WEIGHTS, "config.json"),
    also=((CLIP_H, two_towers.TOKENIZER),),
    download_gb=3.9,
    judge=True,
    load=partial(two_towers.load, "pickscore", words=CLIP_H),
)
