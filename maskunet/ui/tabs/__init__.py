"""One tab of the page per file; each ends in a SPEC and is found by its presence, its styles and scripts beside it."""

from maskunet.plugins import discover

SPECS = discover(__name__)
