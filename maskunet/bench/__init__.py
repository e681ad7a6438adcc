"""What a part of the work costs: one bench per file or package, in ratios of times taken in turn in one process."""

from maskunet.bench.base import BenchSpec
from maskunet.plugins import discover

SPECS: dict[str, BenchSpec] = discover(__name__)
