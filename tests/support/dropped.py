"""Run with a copy of the package into which files were dropped: writes found.json, what became of them, and where."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

import maskunet
from maskunet.commands.registry import main

HELP = ("", "generate", "train", "race", "features", "benchmark", "bench", "dropped_command")
SAMPLED = [
    "generate",
    "--model",
    "tabletop",
    "--device",
    "cpu",
    "--steps",
    "1",
    "--seed",
    "1",
    "--prompt",
    "cube",
]


def said(*words: str) -> str:
    """What a command writes, also where it is refused."""
    out = io.StringIO()
    refused = contextlib.suppress(SystemExit)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), refused:
        main([*words])
    return out.getvalue()


def page() -> str:
    """The page as the browser is told it."""
    from maskunet.studio.studio import Studio
    from maskunet.ui import page

    studio = Studio(Path("runs"), "tabletop", device="cpu", trains=True)
    try:
        return json.dumps(page.build(studio, {}).get_config_file(), default=str)
    finally:
        studio.close()


def rewards(name: str, *words: str) -> dict[str, float]:
    """The rewards of a run that a command has made."""
    told = said(*SAMPLED, "--out", name, *words)
    record = Path(name, "run.json")
    if not record.is_file():
        raise RuntimeError(told)
    return json.loads(record.read_text())["rewards"]


def first_figure() -> str:
    """The first of a run's plots by name."""
    from maskunet.runs import figures, run_folder

    return next(figures.write(run_folder.read(Path("mine")), Path("figures")))


def pictures(folder: str) -> str:
    """Four pictures of noise that were made from two prompts."""
    rng = np.random.default_rng(len(folder))
    Path(folder).mkdir()
    for i in range(2):
        for image in range(2):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path(folder, f"{i:05d}-{image}.png"))
    return folder


def entrants() -> list[str]:
    """What takes part in a race of all."""
    from maskunet.experiments.race.entrants import ALL

    return list(ALL)


if __name__ == "__main__":
    one, other = pictures("one"), pictures("other")
    Path("prompts.txt").write_text("a red cube\na blue sphere\n")
    compared = [
        "--set",
        f"a={one}",
        "--set",
        f"b={other}",
        "--extractor",
        "dropped_extractor",
        "--embedding",
        "PCA",
    ]
    judged = ["--images", one, "--prompts", "prompts.txt", "--device", "cpu", "--out", "judged"]
    found = {
        "place": str(Path(maskunet.__file__).parent),
        "help": {name: said(*filter(None, (name,)), "--help") for name in HELP},
        "methods": said("methods"),
        "recipes": said("recipes"),
        "optimized": said("methods", "maskunet_free"),
        "model": said("generate", "--model", "dropped_model", "--prompt", "cube", "--out", "none"),
        "command": said("dropped_command", "--word", "hello"),
        "bench": said("bench", "dropped_bench", "--rounds", "3", "--device", "cpu"),
        "measures": said("features", *compared, "--device", "cpu", "--out", "compared"),
        "benchmark": said("benchmark", "dropped_benchmark", *judged),
        "rewards": rewards("mine", "--method", "dropped_method", "--no-base"),
        "searched": rewards(
            "searched", "--no-base", "--preset", "improved", "--set", "dropped_reward=9", "--set", "hpsv2=0"
        ),
        "figure": first_figure(),
        "entrants": entrants(),
        "page": page(),
    }
    Path("found.json").write_text(json.dumps(found))
