"""Figure 9b: mask ratio and Fréchet distance along the training; the paper prints no numbers for it."""

from dataclasses import replace

from maskunet.experiments.tables.specs.base import LIGHT, PLAIN, TableSpec

SPEC = TableSpec(
    name="figure_9b",
    title="Figure 9b: mask ratio and distance along the training",
    source="MaskUNet (CVPR 2025), Figure 9b",
    rows=(replace(PLAIN, paper={}), replace(LIGHT, each_checkpoint=True)),
)
