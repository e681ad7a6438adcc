"""Pictures to look at: every entrant's chosen picture of each task's first prompts, good or bad."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskunet.experiments.race.budget import Rows, chosen
from maskunet.experiments.race.pictures import picture_path
from maskunet.experiments.race.report import complete
from maskunet.records.disk.pictures import WEBP_EDGE

PROMPTS = 3  # of each task
QUALITY = 90


def first(rows: Rows, optimized: str, folder: Path) -> list[dict[str, Any]]:
    """The prompts that are shown, with number, task, prompt and `lanes`, one per entrant.

    One whose pictures are not all in the race's folder any more is left out.

    Returns:
        In a lane: entrant, correct, rewards, and pictures, of how many it was chosen.
    """
    rows = complete(rows)
    names = list(dict.fromkeys(row["entrant"] for row in rows))
    tasks = {row["number"]: row["task"] for row in rows}
    found = []
    for number in numbers(tasks):
        mine = [row for row in rows if row["number"] == number]
        lanes = [chosen([row for row in mine if row["entrant"] == name], optimized) for name in names]
        kept = [{key: lane[key] for key in ("entrant", "correct", "rewards", "pictures")} for lane in lanes]
        found.append({"number": number, "task": tasks[number], "prompt": mine[0]["prompt"], "lanes": kept})
    return [each for each in found if all(path.is_file() for path in _paths(folder, each))]


def numbers(tasks: Mapping[int, str]) -> list[int]:
    """The numbers of each task's first prompts, task by task.

    Args:
        tasks: of every prompt, by its number.
    """
    return [
        number
        for task in dict.fromkeys(tasks.values())
        for number in sorted(each for each in tasks if tasks[each] == task)[:PROMPTS]
    ]


def save(folder: Path, prompts: Sequence[Mapping[str, Any]]) -> None:
    """Write shown/NUMBER.webp for each prompt: the lanes' pictures from left to right, smaller where too wide for a WebP."""
    (folder / "shown").mkdir(exist_ok=True)
    for each in prompts:
        lanes = [Image.fromarray(picture) for picture in _pictures(folder, each)]
        for lane in lanes:
            lane.thumbnail((WEBP_EDGE // len(lanes), WEBP_EDGE))  # a smaller one stays as it is
        side_by_side = np.concatenate([np.asarray(lane) for lane in lanes], axis=1)
        Image.fromarray(side_by_side).save(folder / "shown" / f"{each['number']:04d}.webp", quality=QUALITY)


def sheet(folder: Path, prompts: Sequence[Mapping[str, Any]], score: str) -> dict[str, Any]:
    """What `visualize.race_sheet.draw` takes, for some of the prompts."""
    return {
        "images": np.stack([np.stack(_pictures(folder, each)) for each in prompts]),
        "correct": np.array([[lane["correct"] for lane in each["lanes"]] for each in prompts]),
        "scores": np.array([[lane["rewards"][score] for lane in each["lanes"]] for each in prompts]),
        "prompts": [each["prompt"] for each in prompts],
        "entrants": [lane["entrant"] for lane in prompts[0]["lanes"]],
        "score": score,
    }


def _paths(folder: Path, each: Mapping[str, Any]) -> list[Path]:
    return [picture_path(folder, lane["entrant"], each["number"]) for lane in each["lanes"]]


def _pictures(folder: Path, each: Mapping[str, Any]) -> list[np.ndarray]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in _paths(folder, each)]
