"""GenEval: does a picture show the objects, counts, colors and places of its prompt (Ghosh et al. 2023)?"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from maskunet.evaluation.benchmarks.base import BenchmarkSpec, Judgment, Network, Row, Score, place
from maskunet.evaluation.benchmarks.geneval import rules
from maskunet.evaluation.benchmarks.geneval.rules import TASKS, Thing
from maskunet.evaluation.intervals import wilson
from maskunet.prompts.files import Prompt

DETECTOR = Network(
    name="mask2former-swin-small-coco-instance",
    title="Mask2Former Swin-S, COCO instances",
    license="other, see its repository",
    repo="facebook/mask2former-swin-small-coco-instance",
    files=("config.json", "model.safetensors"),
    download_gb=0.28,
)
CLIP = Network(
    name="clip-vit-large-patch14",
    title="CLIP ViT-L/14",
    license="MIT",
    repo="openai/clip-vit-large-patch14",
    files=("config.json", "model.safetensors", "*token*.json", "vocab.json", "merges.txt"),
    download_gb=1.71,
)


class Judge:
    """Judges pictures by what is found in them.

    Args:
        find: the things in a picture (H, W, 3) uint8.
        colors: (picture, things of one name) -> the color of each.
    """

    def __init__(
        self,
        find: Callable[[np.ndarray], Sequence[Thing]],
        colors: Callable[[np.ndarray, Sequence[Thing]], Sequence[str]],
    ):
        self._find, self._colors = find, colors

    def __call__(self, pixels: np.ndarray, prompt: Prompt) -> Judgment:
        """1 if everything asked for is there, else 0 and the reasons."""
        demand = rules.read(prompt.more)
        found = rules.sure(self._find(pixels), demand.task)
        correct, reason = rules.judge(found, demand, lambda things: self._colors(pixels, things))
        return Judgment(value=float(correct), reason=reason)


def load(folders: Mapping[str, Path], device: torch.device, prompts: Sequence[Prompt]) -> Judge:
    """The judge with its two networks.

    Raises:
        ValueError: a network is damaged, or the detector does not know what a prompt asks for.
    """
    from maskunet.evaluation.benchmarks.geneval.colors import ColorNamer
    from maskunet.evaluation.benchmarks.geneval.objects import Detector

    find = Detector(folders[DETECTOR.name], device)
    asked = set().union(*(rules.read(prompt.more).names for prompt in prompts))
    if unknown := sorted(asked - set(find.names)):
        raise ValueError(
            f"The detector does not know {', '.join(unknown)}, so it could never find what the prompts ask "
            "for. Take one that was trained on COCO's 80 things, or other prompts."
        )
    return Judge(find, ColorNamer(folders[CLIP.name], device))


def check(prompts: Sequence[Prompt]) -> None:
    """Refuse prompts that are not GenEval's.

    Raises:
        ValueError: names the first such line, and what is wrong with it.
    """
    for prompt in prompts:
        try:
            rules.read(prompt.more)
        except ValueError as error:
            raise ValueError(
                f"{place(prompt)} is no record of GenEval: {error}. Give its evaluation_metadata.jsonl."
            ) from error


def summarize(rows: Sequence[Row]) -> list[Score]:
    """The share of correct pictures of each task, and their mean over the tasks that are there."""
    tasks = {task: [row for row in rows if row.task == task] for task in TASKS}
    tasks = {task: of_task for task, of_task in tasks.items() if of_task}
    lacking = [task for task in TASKS if task not in tasks]
    shares = [_share(task, of_task) for task, of_task in tasks.items()]
    low, high = _interval(shares)
    overall = Score(
        name="overall",
        value=float(np.mean([score.value for score in shares])),
        low=low,
        high=high,
        n=len(rows),
        prompts=len({row.key for row in rows}),
        note=f"Without {', '.join(lacking)}: not comparable with published figures." if lacking else "",
    )
    return [*shares, overall]


def _share(task: str, rows: Sequence[Row]) -> Score:
    correct, n = sum(row.value == 1 for row in rows), len(rows)
    low, high = wilson(correct, n)
    prompts = len({row.key for row in rows})
    return Score(name=task, value=correct / n, low=low, high=high, n=n, prompts=prompts)


def _interval(shares: Sequence[Score]) -> tuple[float, float]:
    """Of the mean over tasks, from the tasks' own intervals (Zou and Donner 2008, MOVER).

    Unlike a bootstrap it does not shrink to a point where a task has no correct picture.
    """
    value, low, high = (np.array([getattr(score, end) for score in shares]) for end in ("value", "low", "high"))
    below, above = np.linalg.norm(value - low), np.linalg.norm(high - value)
    mean = value.mean()
    return float(mean - below / len(shares)), float(mean + above / len(shares))


PAPER = {
    "SD 1.5": (0.98, 0.26, 0.28, 0.74, 0.02, 0.05, 0.39),
    "SynGen": (0.94, 0.39, 0.31, 0.80, 0.06, 0.05, 0.43),
    "MaskUNet": (0.98, 0.42, 0.38, 0.82, 0.06, 0.08, 0.46),
    "SynGen+MaskUNet": (1.00, 0.43, 0.39, 0.88, 0.08, 0.26, 0.50),
}
AUTHORS = {"GenEval's SD 1.5": (0.97, 0.38, 0.35, 0.76, 0.04, 0.06, 0.43)}

SPEC = BenchmarkSpec(
    name="geneval",
    title="GenEval",
    summary="Share of pictures that show every object, count, color and place asked for.",
    source="Ghosh et al. 2023; its detector in transformers' port, so figures are near to published ones only",
    interval="Wilson's for a task, put together for the overall (Zou and Donner 2008); they take pictures as "
    "independent, which several of one prompt are not quite",
    networks=(DETECTOR, CLIP),
    task_of=lambda prompt, stem: str(prompt.more["tag"]),
    check=check,
    load=load,
    summarize=summarize,
    protocols={
        "the paper, Table 3": {
            "prompts": "not stated", "images per prompt": "not stated", "steps": "15", "guidance": "7.5",
            "seed": "not stated", "sampler": "DPM-Solver",
        },
        "GenEval": {
            "prompts": "553", "images per prompt": "4", "steps": "50", "guidance": "9", "seed": "42 for each prompt",
            "sampler": "the model's own",
        },
    },
    published={
        method: dict(zip((*TASKS, "overall"), figures, strict=True)) for method, figures in (PAPER | AUTHORS).items()
    },
    published_note="The paper prints 0.10 for single objects of SynGen+MaskUNet; its overall of 0.50 needs 1.00.",
)  # fmt: skip
