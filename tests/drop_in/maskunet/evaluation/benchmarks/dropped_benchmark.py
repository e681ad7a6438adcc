"""A benchmark in one file, which needs no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from maskunet.evaluation.benchmarks.base import BenchmarkSpec, Judge, Judgment, Row, Score
from maskunet.prompts.files import Prompt


def load(folders: Mapping[str, Path], device: torch.device, prompts: Sequence[Prompt]) -> Judge:
    def judge(pixels: np.ndarray, prompt: Prompt) -> Judgment:
        return Judgment(value=1.0)

    return judge


def summarize(rows: Sequence[Row]) -> list[Score]:
    n = len(rows)
    return [Score(name="Dropped benchmark", value=1.0, low=1.0, high=1.0, n=n, prompts=n)]


SPEC = BenchmarkSpec(
    name="dropped_benchmark",
    title="Dropped benchmark",
    summary="A benchmark in one file.",
    source="a test",
    interval="none",
    networks=(),
    task_of=lambda prompt, stem: "all",
    check=lambda prompts: None,
    load=load,
    summarize=summarize,
)
