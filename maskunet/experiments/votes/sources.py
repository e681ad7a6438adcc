"""Where a study's pictures come from: folders of methods, kept runs, a race, the cells of a grid."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from maskunet.prompts import captions, files
from maskunet.records.disk import pictures
from maskunet.records.grid import AXES
from maskunet.runs import run_folder

FOLDERS = "pictures"  # within what commands write
SEED = r"-{}(?=$|-step-)"  # at the end of a table's folder, before the step of a checkpoint


@dataclass(frozen=True, slots=True)
class Made:
    """A picture.

    Attributes:
        method: what made it. path: its file.
        prompt: empty if nobody said it. seed: in words.
        same: what else must be equal for two pictures to be compared.
    """

    method: str
    path: Path
    prompt: str
    seed: str
    same: tuple[Any, ...] = ()


def read(places: Sequence[Path], prompts: Path | None = None) -> list[Made]:
    """The pictures of one source, or of several runs.

    Args:
        places: a folder with a folder of pictures per method, a race's, a grid's, what `table` or `sample` wrote, or runs
            and folders of runs.
        prompts: a file of them, for folders of pictures that do not say their own.

    Raises:
        ValueError: there is no such folder, or it holds nothing to compare; says what is missing.
    """
    for place in places:
        if not place.is_dir():
            raise ValueError(f"“{place.name}” is no folder on this machine. Give one that holds pictures or runs.")
    runs = [run for place in places for run in _runs_in(place)]
    if runs:
        return [made for run in runs for made in _of_run(run)]
    if len(places) > 1:
        raise ValueError("Several places are read only if they are runs. Give one folder with a folder per method.")
    (place,) = places
    if (place / "race.json").is_file():
        return [*_of_race(place)]
    if (place / "grid.json").is_file():
        return [*_of_grid(place)]
    return [*_of_folders(place, prompts)]


def _runs_in(place: Path) -> list[Path]:
    if (place / run_folder.RECORD).is_file():
        return [place]
    found = sorted(place.glob(f"*/{run_folder.RECORD}"))
    return [path.parent for path in found if path.parent.name[0] != "."]


def _of_run(folder: Path) -> Iterator[Made]:
    """Both pictures of a run: the method's, and the plain one."""
    run = run_folder.read(folder)
    asked = run.request
    same = (asked.model, asked.steps, asked.guidance, asked.negative_prompt)
    known = {"prompt": asked.prompt, "seed": str(asked.seed), "same": same}
    yield Made(method="/".join(filter(None, (asked.method, asked.preset))), path=folder / run_folder.RESULT, **known)
    if run.base_image is not None:
        yield Made(method="plain", path=folder / run_folder.BASE, **known)


def _of_race(folder: Path) -> Iterator[Made]:
    """Every entrant's chosen pictures that the race kept, each with the seed that it was made from."""
    from maskunet.experiments.race.budget import chosen
    from maskunet.experiments.race.pictures import picture_path

    optimized = _record(folder / "race.json").get("optimized")
    made: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    try:
        for path in sorted(folder.glob("rows-*.jsonl")):
            with path.open(encoding="utf-8") as lines:
                for row in map(json.loads, islice((line for line in lines if line.endswith("\n")), 1, None)):
                    made.setdefault((row["number"], row["entrant"]), []).append(row)
        for (number, entrant), rows in sorted(made.items()):
            row, path = chosen(rows, optimized), picture_path(folder, entrant, number)
            if path.is_file():
                yield Made(method=entrant, path=path, prompt=row["prompt"], seed=str(row["seed"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"“{folder.name}” holds no race whose rows can be read.") from error


def _of_grid(folder: Path) -> Iterator[Made]:
    """The cells of a grid; a method is what its axes vary besides prompts and seeds."""
    record = _record(folder / "grid.json")
    try:
        varied = {key: axis["name"] for key, axis in zip(AXES, record["axes"], strict=False)}
        varied = {key: name for key, name in varied.items() if name not in ("prompt", "seed")}
        for cell in record["cells"]:
            names = [cell[key] if name == "method" else f"{name} {cell[key]}" for key, name in varied.items()]
            if cell["file"]:
                path = folder / "cells" / Path(cell["file"]).name
                yield Made(", ".join(names) or cell["method"], path, cell["prompt"], str(cell["seed"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"“{folder.name}” holds no grid that can be read.") from error


def _record(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"“{path.name}” in “{path.parent.name}” cannot be read.")
    return found


def _of_folders(place: Path, prompts: Path | None) -> Iterator[Made]:
    """The pictures of a folder per method; pictures that are called the same are of one prompt and seed."""
    if not _method_folders(place) and (place / FOLDERS).is_dir():
        place = place / FOLDERS
    folders = _method_folders(place)
    if not folders:
        raise ValueError(
            f"“{place.name}” holds no folder of pictures. It needs one per method, with pictures of the same names in "
            "each; or give a race, a grid or runs."
        )
    texts = {each.key: each.text for each in files.read(prompts)} if prompts else {}
    for folder in folders:
        found = pictures.listed(folder)
        own = captions.read(folder, [path.name for path in found]).texts
        seed = files.made(folder).get("seed")
        method = re.sub(SEED.format(seed), "", folder.name) if isinstance(seed, int) else folder.name
        for path in found:
            text = own.get(path.name) or texts.get(path.stem) or texts.get(re.sub(r"-\d+$", "", path.stem), "")
            yield Made(method, path, text, path.stem if seed is None else f"{path.stem} of {seed}")


def _method_folders(place: Path) -> list[Path]:
    return [path for path in sorted(place.iterdir()) if path.is_dir() and path.name[0] != "." and pictures.listed(path)]
