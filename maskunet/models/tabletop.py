"""The embedded world: a small model of a table with colored objects, trained by this project."""

from maskunet.models.base import ModelSpec
from maskunet.tabletop import verdict
from maskunet.tabletop.captions import VOCABULARY
from maskunet.tabletop.place import GUIDANCE, MODEL, WEIGHTS, guidance

SPEC = ModelSpec(
    name="tabletop",
    title="Tabletop (embedded)",
    summary="A small model of 1 to 4 colored objects on a table, 128 x 128; runs on any machine.",
    license="Apache-2.0",
    guidance=guidance(GUIDANCE, default=3.5),
    folder=MODEL,
    rewards=(WEIGHTS,),
    embedded=True,
    vocabulary=VOCABULARY,
    judge=verdict.judge,
    video_times=(266, 333),  # `table video --split train`; pictures of 128 x 128 are settled later than those of 512
)
