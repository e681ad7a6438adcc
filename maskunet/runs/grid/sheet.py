"""A grid as one picture with its labels drawn in, and any picture with a caption."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from maskunet.runs.grid.axes import Grid

EDGE, PIXELS = 12_000, 64_000_000  # of a sheet, at most
SMALLEST = 24  # pixels along the edge of a cell; a sheet that needs smaller ones is not drawn
USUAL = 64  # to which smaller pictures are enlarged where there is room
STRIP = 8  # pictures beside each other where there is one axis
GAP, MARGIN = 6, 16
LINES = 4  # of a label
INK, SOFT, PALE, GROUND = "#18181b", "#63636b", "#e4e4e7", "#ffffff"


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def wrapped(text: str, width: float, of: ImageFont.FreeTypeFont, most: int = LINES) -> list[str]:
    """A text in lines of at most so many pixels; what is too long for a line is cut, and for all of them left out."""
    lines: list[str] = []
    for word in text.split():
        for part in _pieces(word, width, of):
            if lines and of.getlength(f"{lines[-1]} {part}") <= width:
                lines[-1] += f" {part}"
            else:
                lines.append(part)
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and of.getlength(f"{last}…") > width:
        last = last[:-1]
    return [*lines[: most - 1], f"{last}…"]


def _pieces(word: str, width: float, of: ImageFont.FreeTypeFont) -> list[str]:
    """A word, cut where it is longer than a line."""
    found = [""]
    for letter in word:
        if found[-1] and of.getlength(found[-1] + letter) > width:
            found.append("")
        found[-1] += letter
    return found


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything stands: sizes in pixels.

    Attributes:
        shape: panels, their rows and their columns. across: panels beside each other.
        width, height: of a cell. left: of the labels of rows. top: of those of columns. head: of a panel's.
        under: of the line below each cell.
    """

    shape: tuple[int, int, int]
    across: int
    width: int
    height: int
    size: int
    left: int
    top: int
    head: int
    under: int

    @property
    def line(self) -> int:
        return round(self.size * 1.35)

    def panel(self) -> tuple[int, int]:
        """Width and height of a panel with its labels."""
        _, rows, columns = self.shape
        return (
            self.left + columns * (self.width + GAP),
            self.head + self.top + rows * (self.height + self.under + GAP),
        )

    def total(self) -> tuple[int, int]:
        """Of all panels."""
        width, height = self.panel()
        down = math.ceil(self.shape[0] / self.across)
        return self.across * (width + MARGIN) + MARGIN, down * (height + MARGIN) + MARGIN


def _fitted(
    shape: tuple[int, int, int], labels: Sequence[Sequence[str]], picture: tuple[int, int], lines: int
) -> _Layout:
    """The largest layout that a sheet may have.

    Raises:
        ValueError: cells would be too small to be seen.
    """
    strip = shape[1:] == (1, 1) and shape[0] <= STRIP
    across = shape[0] if strip else math.ceil(math.sqrt(shape[0]))
    scale = max(1.0, USUAL / max(picture))
    while True:
        width, height = (max(1, round(side * scale)) for side in picture)
        if max(width, height) < SMALLEST:
            raise ValueError(
                f"A sheet of {math.prod(shape):,} cells would be too large to be drawn. Its pictures and numbers are kept."
            )
        size = min(20, max(11, width // 11))
        column, row, panel = ([label for label in some if label] for some in labels)
        line, of = round(size * 1.35), font(size)
        side = max(width, 90)
        left = max((of.getlength(each) for label in row for each in wrapped(label, side, of)), default=0)
        top = max((len(wrapped(label, width, of)) for label in column), default=0)
        inner = round(left) + GAP * bool(row) + shape[2] * (width + GAP)
        head = max((len(wrapped(label, inner, of)) for label in panel), default=0)
        under = round(size * 1.35) * lines
        layout = _Layout(
            shape, across, width, height, size, round(left) + GAP * bool(row), top * line + GAP * bool(column),
            head * line + GAP * bool(panel), under,
        )  # fmt: skip
        total = layout.total()
        if max(total) <= EDGE and math.prod(total) <= PIXELS:
            return layout
        scale *= 0.9


def draw(
    grid: Grid, picture: Callable[[int], np.ndarray | None], under: Mapping[int, str], title: str = ""
) -> Image.Image:
    """The sheet: x from left to right, y from top to bottom, and for each value of z a panel of its own.

    With one axis its pictures stand beside each other, and from nine on in rows.

    Args:
        picture: (H, W, 3) uint8 of a cell by its number, or None where there is none.
        under: what stands below a cell, by its number.
        title: what all cells have in common.

    Raises:
        ValueError: the cells would be too small to be seen.
    """
    labels = [[*axis.labels] for axis in grid.axes] + [[""]] * (3 - len(grid.axes))
    shape = grid.shape
    if len(grid.axes) == 1:  # every cell is a panel
        labels, shape = [[""], [""], labels[0]], (len(labels[0]), 1, 1)
    first = next((found for number in range(len(grid.cells)) if (found := picture(number)) is not None), None)
    size = (first.shape[1], first.shape[0]) if first is not None else (128, 128)
    layout = _fitted(shape, labels, size, lines=bool(under))
    width, height = layout.total()
    said = wrapped(title, width - 2 * MARGIN, font(layout.size))
    above = len(said) * layout.line + MARGIN * bool(said)
    sheet = Image.new("RGB", (width, height + above), GROUND)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (MARGIN, MARGIN), said, layout, INK)
    panel_width, panel_height = layout.panel()
    for panel in range(shape[0]):
        x = MARGIN + panel % layout.across * (panel_width + MARGIN)
        y = above + MARGIN + panel // layout.across * (panel_height + MARGIN)
        _labels(pen, (x, y), [labels[0], labels[1], labels[2][panel]], layout)
        for place in range(shape[1] * shape[2]):
            number, row, column = panel * shape[1] * shape[2] + place, *divmod(place, shape[2])
            left = x + layout.left + column * (layout.width + GAP)
            top = y + layout.head + layout.top + row * (layout.height + layout.under + GAP)
            _cell(sheet, pen, (left, top), picture(number), under.get(number, ""), layout)
    return sheet


def _labels(pen: ImageDraw.ImageDraw, at: tuple[int, int], labels: Sequence, layout: _Layout) -> None:
    """A panel's label, and those of its columns and rows."""
    (x, y), of = at, font(layout.size)
    columns, rows, panel = labels
    _write(pen, at, wrapped(panel, layout.panel()[0], of), layout, INK)
    for i, label in enumerate(columns):
        left = x + layout.left + i * (layout.width + GAP)
        lines = wrapped(label, layout.width, of)
        down = layout.top - GAP - len(lines) * layout.line  # next to the pictures
        _write(pen, (left, y + layout.head + max(0, down)), lines, layout, INK)
    for i, label in enumerate(rows):
        top = y + layout.head + layout.top + i * (layout.height + layout.under + GAP)
        _write(pen, (x, top), wrapped(label, max(layout.width, 90), of), layout, INK)


def _cell(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    picture: np.ndarray | None,
    under: str,
    layout: _Layout,
) -> None:
    x, y = at
    if picture is None:
        pen.rectangle((x, y, x + layout.width - 1, y + layout.height - 1), fill=PALE)
    else:
        image = Image.fromarray(picture)
        if image.size != (layout.width, layout.height):
            image = image.resize((layout.width, layout.height), Image.Resampling.LANCZOS)
        sheet.paste(image, at)
    if layout.under:
        _write(pen, (x, y + layout.height + 1), wrapped(under, layout.width, font(layout.size), 1), layout, SOFT)


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[str], layout: _Layout, ink: str) -> None:
    for i, line in enumerate(lines):
        pen.text((at[0], at[1] + i * layout.line), line, fill=ink, font=font(layout.size))
