"""What every table shares: its rows, what is trained for each, and the paper's own figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        name: of its folders; a row of the same name in two tables is made once.
        recipe: what is trained for it (`maskunet.training.recipes`); empty for the base model as it is.
        settings: of the recipe, besides its preset's and the budget's.
        each_checkpoint: whether it is measured along its training too.
        paper: the paper's figures, by the titles of its columns.
    """

    name: str
    title: str
    recipe: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    each_checkpoint: bool = False
    paper: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableSpec:
    """A table or figure of the paper that trains; its first row is what the others are compared with."""

    name: str
    title: str
    source: str
    rows: tuple[Row, ...]


PLAIN = Row(
    name="plain",
    title="base model, nothing trained",
    paper={"COCO 2014 FID-30k": 12.85, "COCO 2017 FID-5k": 23.39},
)
LIGHT = Row(name="light", title="MaskUNet, light", recipe="mask_generator", settings={"variant": "light"})
