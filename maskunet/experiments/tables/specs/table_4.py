"""Table 4: what the mask generator looks at."""

from dataclasses import replace

from maskunet.experiments.tables.specs.base import LIGHT, PLAIN, Row, TableSpec

TITLE = "COCO 2017 FID-5k"


def _without(name: str, title: str, flag: str, paper: float) -> Row:
    settings = {**LIGHT.settings, flag: False}
    return Row(name=name, title=title, recipe=LIGHT.recipe, settings=settings, paper={TITLE: paper})


SPEC = TableSpec(
    name="table_4",
    title="Table 4: inputs of the mask generator",
    source="MaskUNet (CVPR 2025), Table 4",
    rows=(
        replace(PLAIN, paper={TITLE: 23.39}),
        replace(LIGHT, paper={TITLE: 21.88}),
        _without("light-without-time", "w/o temb", "use_temb", 22.30),
        _without("light-without-sample", "w/o sample", "use_sample", 22.14),
    ),
)
