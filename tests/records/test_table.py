"""Rows as CSV that other programs read."""

import csv
import io

from maskunet.records.table import csv_text


def test_columns_are_all_names_in_the_order_in_which_they_come():
    text = csv_text([{"a": 1, "b": "x, “y”\n"}, {"c": None, "a": 2.5}])
    assert text.startswith("a,b,c\r\n")
    assert list(csv.DictReader(io.StringIO(text, newline=""))) == [
        {"a": "1", "b": "x, “y”\n", "c": ""},
        {"a": "2.5", "b": "", "c": ""},
    ]


def test_rows_may_come_once():
    assert csv_text({"n": n} for n in range(3)) == "n\r\n0\r\n1\r\n2\r\n"
