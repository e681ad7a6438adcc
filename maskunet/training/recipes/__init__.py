"""One way of training per file; each ends in a SPEC and is found by its presence."""

from maskunet.plugins import discover

SPECS = discover(__name__)
"""Every recipe's SPEC by name."""
