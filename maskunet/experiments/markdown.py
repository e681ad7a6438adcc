"""How results are written: a table in Markdown, a p-value."""

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines of cells below their titles; the last line has no line break."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def p_value(p: float, *, named: bool = False) -> str:
    """A p-value with three digits, never as zero; `named` for a sentence: “p = 0.012” or “p < 0.001”."""
    told = "< 0.001" if p < 0.001 else f"= {p:.3f}" if named else f"{p:.3f}"
    return f"p {told}" if named else told
