"""Table 1: zero-shot generation of the base model, its fine-tunes and MaskUNet."""

from maskunet.experiments.tables.specs.base import LIGHT, PLAIN, Row, TableSpec

SPEC = TableSpec(
    name="table_1",
    title="Table 1: zero-shot generation",
    source="MaskUNet (CVPR 2025), Table 1",
    rows=(
        PLAIN,
        Row(
            name="full",
            title="full fine-tune",
            recipe="full",
            paper={"COCO 2014 FID-30k": 14.06, "COCO 2017 FID-5k": 24.45},
        ),
        Row(name="lora", title="LoRA", recipe="lora", paper={"COCO 2014 FID-30k": 12.82, "COCO 2017 FID-5k": 23.18}),
        Row(
            name="live",
            title="MaskUNet, live",
            recipe="mask_generator",
            settings={"variant": "live"},
            paper={"COCO 2014 FID-30k": 11.72, "COCO 2017 FID-5k": 21.88},
        ),
        LIGHT,
    ),
)
