"""The embedded world learned from spoiled data, as Stable Diffusion learned from the web."""

from maskunet.models.base import ModelSpec
from maskunet.tabletop import verdict
from maskunet.tabletop.captions import VOCABULARY
from maskunet.tabletop.place import WEB, WEIGHTS, guidance

SPEC = ModelSpec(
    name="tabletop_web",
    title="Tabletop, spoiled (embedded)",
    summary="The same world, learned from wrong captions and spoiled pictures: there is something for masks to remove.",
    license="Apache-2.0",
    guidance=guidance(WEB / "guidance.json", default=7.5),
    folder=WEB / "model",
    rewards=(WEB, WEIGHTS),
    embedded=True,
    opens=True,
    vocabulary=VOCABULARY,
    judge=verdict.judge,
    video_times=(266, 333),  # `table video --split train`; pictures of 128 x 128 are settled later than those of 512
)
