"""How results are written: a table in Markdown, a figure with its interval, a p-value."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines of cells below their titles; the last line has no line break."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def figure(line: Mapping[str, Any], name: str, form: str, unit: str = "") -> str:
    """A line's figure with its interval, such as “0.51 (0.46 to 0.56)”; nothing where there is none.

    Args:
        line: with `name`, `name`_low and `name`_high, as `intervals.columns` makes them. form: of each number.
    """
    low, high = line[f"{name}_low"], line[f"{name}_high"]
    if line[name] is None:
        return ""
    interval = "" if low is None else f" ({low:{form}} to {high:{form}})"
    return f"{line[name]:{form}}{unit}{interval}"


def p_value(p: float, *, named: bool = False) -> str:
    """A p-value with three digits, never as zero; `named` for a sentence: “p = 0.012” or “p < 0.001”."""
    told = "< 0.001" if p < 0.001 else f"= {p:.3f}" if named else f"{p:.3f}"
    return f"p {told}" if named else told
