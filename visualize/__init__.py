"""One plot per file: records and arrays in, a matplotlib Figure out. No torch, no pyplot state."""

from maskunet.plugins import discover

SPECS = discover(__name__)
