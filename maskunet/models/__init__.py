"""One base model per file; each ends in a SPEC and is found by its presence."""

from maskunet.plugins import discover

SPECS = discover(__name__)
