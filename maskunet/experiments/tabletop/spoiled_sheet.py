"""One picture of the spoiled corpus: each kind in a row of its own, for the model card."""

import textwrap
from pathlib import Path

import numpy as np

from maskunet.tabletop import data
from maskunet.tabletop.captions import caption
from maskunet.tabletop.render import render
from maskunet.tabletop.scenes import Scene
from maskunet.tabletop.spoiling import CAPTIONS, CLEAN, PICTURES, TRUE, spoiled

COLUMNS = 4
KINDS = ((TRUE, CLEAN), *((kind, CLEAN) for kind in CAPTIONS), *((TRUE, kind) for kind in PICTURES))


def draw(path: Path, seed: int) -> None:
    """Write a PNG of the first training scenes: every kind of caption and picture, in rows with their names."""
    from matplotlib.figure import Figure

    scenes = data.training_scenes(0)[: COLUMNS * len(KINDS)]
    pictures = render(scenes).numpy()
    figure = Figure(figsize=(1.75 * COLUMNS + 1, 1.95 * len(KINDS)), layout="constrained")
    cells = zip(figure.subplots(len(KINDS), COLUMNS).flat, scenes, pictures, strict=True)
    for number, (axes, scene, picture) in enumerate(cells):
        kinds = KINDS[number // COLUMNS]
        text, shown = _example(scene, picture, np.random.default_rng((seed, number)), kinds)
        axes.imshow(shown.transpose(1, 2, 0))
        axes.set(xticks=[], yticks=[])
        axes.set_title(textwrap.fill(text, 28), fontsize=6)
        if number % COLUMNS == 0:
            axes.set_ylabel(next((kind for kind in kinds if kind not in (TRUE, CLEAN)), f"{TRUE}, {CLEAN}"), fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _example(
    scene: Scene, picture: np.ndarray, rng: np.random.Generator, kinds: tuple[str, str]
) -> tuple[str, np.ndarray]:
    text = caption(scene, rng) if kinds[0] == TRUE else CAPTIONS[kinds[0]](scene, rng)
    return text, spoiled(picture, scene, rng, kinds[1])
