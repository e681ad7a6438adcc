"""The base models, one per file; SPECS lists them by name."""

from maskunet.plugins import discover

SPECS = discover(__name__)
