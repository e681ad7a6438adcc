"""How results are written: a table in Markdown, a figure with its interval, a p-value."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Of `counted.share` and `counted.change`.
INTERVALS = (
    "Intervals are 95 %: the bootstrap's over different prompts, for shares Wilson's where no prompt comes twice or all "
    "pictures are alike"
)
NO_VERDICT = "The checker knows tabletop's renders only, so nothing is said of which pictures are correct."


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
    around = "" if low is None else f" ({low:{form}} to {high:{form}})"
    return f"{line[name]:{form}}{unit}{around}"


def cell(value: float | None, form: str) -> str:
    """A number in this form; empty where there is none."""
    return "" if value is None else f"{value:{form}}"


def interval(low: float | None, high: float | None, form: str) -> str:
    """Both ends in this form; empty where there are none."""
    return "" if low is None or high is None else f"{low:{form}} to {high:{form}}"


def gain(found: Mapping[str, Any]) -> list[str]:
    """Cells of a paired change of the share correct: it, its interval, fixed / broken, p and Holm's p; empty where it is not known."""
    if found["correct"] is None:
        return [""] * 5
    return [
        f"{found['correct']:+.3f}",
        interval(found["correct_low"], found["correct_high"], "+.3f"),
        f"{found['fixed']} / {found['broken']}",
        p_value(found["p"]),
        p_value(found["p_holm"]),
    ]


def p_value(p: float, *, named: bool = False) -> str:
    """A p-value with three digits, never as zero; `named` for a sentence: “p = 0.012” or “p < 0.001”."""
    told = "< 0.001" if p < 0.001 else f"= {p:.3f}" if named else f"{p:.3f}"
    return f"p {told}" if named else told
