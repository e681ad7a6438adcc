"""Train the spotter on renders with and without the new subjects, and on what the base model makes of lookalikes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.evaluation.intervals import wilson
from maskunet.experiments.markdown import markdown_table
from maskunet.experiments.tabletop.fit import fit
from maskunet.experiments.tabletop.train_inspector import reconstructed
from maskunet.records.disk import whole
from maskunet.tabletop import checker, on_disk, spotter
from maskunet.tabletop.place import CHECKER, MODEL, SPOTTER
from maskunet.tabletop.render import MIDDLE, project, render
from maskunet.tabletop.scenes import Scene, random_scene
from maskunet.tabletop.subjects import STACKS, SUBJECTS, lookalike, with_others

BATCH, RENDERS, GENERATED = 24, 900, 96
SEED, HELD_OUT_SEED = 41, 42
RECOLORED = (2, 0, 1)  # channels in another order: the subject's form in colors that are not its own
FALSE_ALARMS = 0.01  # of the pictures without the subject that set the threshold
CELLS = 32
LOOKALIKES = (
    "a purple cylinder", "a yellow cylinder", "a pink cylinder", "a green cylinder", "a cylinder", "a small cylinder",
    "a purple cylinder and a yellow cube", "a yellow cylinder and a purple sphere", "a pink sphere and a green cone",
    "a purple cylinder behind a yellow cylinder", "a pink cylinder and a green cylinder", "two purple cylinders",
    "a large yellow cylinder", "a metal purple cylinder", "a striped yellow cylinder", "a photo of a cylinder",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures as the checker's states (N, 96, 32, 32) float16, and where subjects' middles are, (N, 2, 32, 32)."""

    states: Tensor
    wanted: Tensor

    @property
    def there(self) -> Tensor:
        """(N, 2) which subject is in which picture."""
        return self.wanted.amax((2, 3)) > 0

    def __add__(self, other: "Seen") -> "Seen":
        return Seen(torch.cat((self.states, other.states)), torch.cat((self.wanted, other.wanted)))


def train(folder: Path, *, minutes: float) -> nn.Module:
    """Make the pictures, train for some minutes, set the thresholds, save the spotter.

    Args:
        folder: receives the checkpoint, the log and spotter/.
    """
    eye = checker.load(CHECKER)
    found = _pictures(eye, SEED, RENDERS) + _seen(eye, generated(GENERATED, SEED), [()] * GENERATED)
    module = spotter.Spotter()

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        some = torch.randint(len(found.states), (BATCH,), generator=generator)
        logits, wanted = module(found.states[some].float()), found.wanted[some]
        # The focal loss of CenterNet: few cells are middles, and most others are told apart at once.
        surprise = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        hard = (wanted - logits.sigmoid()).abs() ** 2
        return {"middle": (hard * surprise * (1 + 9 * wanted)).sum() / BATCH}

    average = fit(module, loss, folder / "spotter_state", minutes=minutes, learning_rate=3e-3, ema_decay=0.99)
    average.threshold.copy_(_threshold(average, found))
    on_disk.save(average, folder / "spotter")
    return average


@torch.no_grad()
def _threshold(module: spotter.Spotter, found: Seen) -> Tensor:
    """(2,) halfway between the middles of those with and without, or higher, for few enough false alarms."""
    scores = torch.cat([module.scores(part.float()) for part in found.states.split(50)])
    lowest = []
    for row, there in zip(scores.mT, found.there.mT, strict=True):
        fair = (row[there].median() + row[~there].median()) / 2
        lowest.append(torch.maximum(fair, row[~there].quantile(1 - FALSE_ALARMS)))
    return torch.stack(lowest)


def _scenes(seed: int, count: int) -> list[Scene]:
    """Of every four scenes one with each subject, one of lookalikes, one of training."""
    rng = np.random.default_rng(seed)
    new = [SUBJECTS[name] for name in STACKS]
    kinds = (lambda: with_others(new[0], rng), lambda: with_others(new[1], rng), lambda: lookalike(rng))
    return [kinds[i % 4]() if i % 4 < 3 else random_scene(rng) for i in range(count)]


def _pictures(eye: checker.Checker, seed: int, count: int) -> Seen:
    """Renders, every other one as the autoencoder shows it, and some of them in other colors, without a subject."""
    scenes = _scenes(seed, count)
    images = render(scenes).float() / 255
    order = torch.arange(count)
    images[order % 8 < 4] = reconstructed(MODEL / "vae", images[order % 8 < 4])
    other = images[order % 4 < 2][::3][:, RECOLORED]
    return _seen(eye, images, scenes) + _seen(eye, other, [()] * len(other))


@torch.no_grad()
def _seen(eye: checker.Checker, images: Tensor, scenes: Sequence[Scene]) -> Seen:
    states = torch.cat([eye.states(part).half() for part in images.split(50)])
    wanted = torch.zeros(len(images), len(STACKS), CELLS, CELLS)
    for row, scene in enumerate(scenes):
        for thing in scene:
            if thing.shape in STACKS:
                u, v = (project([(thing.x, thing.y, MIDDLE * thing.radius)])[0] * CELLS).long().tolist()
                wanted[row, list(STACKS).index(thing.shape), max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2] = 1
    return Seen(states, wanted)


def generated(count: int, seed: int) -> Tensor:
    """Pictures (count, 3, 128, 128) in [0, 1] by the base model, which knows no new subject, of what is like them."""
    from maskunet.library.library import Library
    from maskunet.training.sampling import GuidedSampling

    model = Library("tabletop", device="cpu").load("tabletop", with_rewards=False).model
    sampling = GuidedSampling(model, steps=12)
    parts = []
    for start in range(0, count, len(LOOKALIKES)):
        prompts = list(LOOKALIKES[: count - start])
        noise = torch.cat([model.noise(1000 * seed + start + i) for i in range(len(prompts))])
        parts.append(sampling.whole(sampling.base, noise, sampling.guided(prompts)).float().cpu())
    return torch.cat(parts)


def measure(out: Path, n: int) -> str:
    """Ask the shipped spotter about held-out renders and generated pictures; write `out`, a Markdown file.

    Args:
        n: pictures of each kind.

    Returns:
        The text that was written.
    """
    eye, found = checker.load(CHECKER), spotter.load(SPOTTER)
    kinds = _held_out(n)
    rows = []
    for name in STACKS:
        for kind, images in kinds.items():
            seen = sum(name in there for there in found.find(eye, images))
            low, high = wilson(seen, len(images))
            rows.append([name, kind, str(len(images)), f"{seen / len(images):.3f} ({low:.2f} to {high:.2f})"])
    text = (
        "# The spotter, measured\n\n"
        f"Made by `python -m maskunet tabletop spot --n {n}`: the share of held-out pictures in which the spotter finds "
        "each new subject, with 95 % intervals. Renders are also shown as the autoencoder makes them; generated "
        "pictures are the base model's, of prompts that name the subjects' shapes and colors.\n\n"
        f"{markdown_table(['subject', 'pictures', 'n', 'found'], rows)}\n"
    )
    whole.write(out, text)
    return text


def _held_out(n: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(HELD_OUT_SEED)
    scenes = {f"with a {name}": [with_others(SUBJECTS[name], rng) for _ in range(n)] for name in STACKS}
    scenes |= {
        "lookalikes": [lookalike(rng) for _ in range(n)],
        "training scenes": [random_scene(rng) for _ in range(n)],
    }
    kinds = {}
    for kind, some in scenes.items():
        kinds[kind] = render(some).float() / 255
        kinds[f"{kind}, by the autoencoder"] = reconstructed(MODEL / "vae", kinds[kind])
    for name in STACKS:
        kinds[f"{name} in other colors"] = kinds[f"with a {name}"][:, RECOLORED]
    return kinds | {"generated": generated(n, HELD_OUT_SEED)}
