"""Rows as a table that other programs read."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV: a column for each of their names, in the order in which these come; empty where a row has none."""
    rows, text = list(rows), io.StringIO(newline="")
    table = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
