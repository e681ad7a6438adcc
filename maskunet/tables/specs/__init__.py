"""One table of the paper per file; each ends in a SPEC and is found by its presence."""

from maskunet.discover import discover

SPECS = discover(__name__)
