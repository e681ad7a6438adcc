"""The twin of textual inversion: a word learns a tabletop thing that words can name, and the checker looks for it.

The words themselves are the upper bound, the class word the lower one. Masks are put on at sampling, those of the model's
own generator, beside random ones that remove as many weights on average over each batch of pictures.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskunet import seeds
from maskunet.encoders.text_states import TextStates
from maskunet.evaluation.intervals import RESAMPLES
from maskunet.experiments.counted import change, share
from maskunet.experiments.tables import drawn
from maskunet.experiments.trained import offer
from maskunet.library.library import Loaded
from maskunet.methods import SPECS as METHODS
from maskunet.models.base import DiffusionModel
from maskunet.plugins import chosen
from maskunet.records import Request
from maskunet.tabletop.captions import phrase
from maskunet.tabletop.render import render
from maskunet.tabletop.scenes import SIZES, Thing, place, random_thing
from maskunet.tabletop.tasks import fits
from maskunet.training import checkpoint, diffusion, loop
from maskunet.training.data import Pair
from maskunet.training.objective import Batch
from maskunet.training.own_pictures import OwnPictures
from maskunet.training.recipes import SPECS as RECIPES

SHOWN, FRESH, TIMES = 5, 16, 4  # pictures to learn from; fresh ones for the loss, and the timesteps of each
TOKEN = "<subject>"
ALONE = ("a {}", "a photo of a {}", "a picture of a {}", "there is a {}", "a {} on a table")
WITH = ("a {} and {}", "a {} left of {}", "a {} in front of {}")
ALONE_TRAINED, TOGETHER = "inversion", "inversion_masks"  # recipes that make the token
FOLDERS = {ALONE_TRAINED: "training", TOGETHER: "together"}  # of trainings, before the seed


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be learned, as the checker sees it, and a number that all its draws begin from."""

    shape: str
    color: str
    texture: str
    number: int

    @property
    def words(self) -> str:
        """All of them, as in a caption."""
        return f"{self.texture} {self.color} {self.shape}"


# Settings are chosen on the first one.
SUBJECTS = {
    "train": Subject("cylinder", "blue", "striped", 0),
    "test": Subject("cone", "orange", "checkered", 1),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: how the subject is asked for, the method, and what trained the token, if there is one."""

    title: str
    asked: str
    method: str = "plain"
    recipe: str = ""


ROWS = {
    "words": Row("the words themselves", "words"),
    "class": Row("the class word", "class"),
    "token": Row("the learned token", "token", recipe=ALONE_TRAINED),
    "token_masks": Row("token, trained masks", "token", "maskunet_trained", ALONE_TRAINED),
    "token_random": Row("token, random masks", "token", "random_mask", ALONE_TRAINED),
    "together": Row("token and masks trained together", "token", "maskunet_trained", TOGETHER),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt with a gap for the subject, and the other thing in it, if there is one."""

    prompt: str
    other: Mapping[str, str] | None = None


def prompts(subject: Subject, n: int) -> list[Asked]:
    """Prompts for the subject, every fourth one of it alone; other things differ from it in shape and color."""
    rng, found = np.random.default_rng((5, subject.number)), []
    for number in range(n):
        turn, form = divmod(number, 4)
        if form == 3:
            found.append(Asked(ALONE[turn % len(ALONE)]))
            continue
        while True:
            other = random_thing(rng)
            if other.shape != subject.shape and other.color != subject.color:
                break
        text = WITH[form].replace("{}", "[]", 1).format(phrase(other, ("color",))).replace("[]", "{}")
        found.append(Asked(text, {"shape": other.shape, "color": other.color}))
    return found


def shown(subject: Subject, n: int, stream: int) -> np.ndarray:
    """(n, H, W, 3) uint8 renders of the subject, alone, anywhere on the table and of either size."""
    rng = np.random.default_rng((stream, subject.number))
    things = [Thing(subject.shape, subject.color, subject.texture, str(rng.choice(tuple(SIZES)))) for _ in range(n)]
    pictures = render([place([thing], rng) for thing in things])
    return pictures.permute(0, 2, 3, 1).numpy()


def settings(changes: Mapping[str, Any], subject: Subject, seed: int, recipe: str = ALONE_TRAINED) -> Any:
    """Those of a training."""
    own = {"token": TOKEN, "begin": subject.shape, "seed": seed}
    return chosen(RECIPES[recipe].presets, recipe, "tabletop", {**own, **changes})


def train(
    model: DiffusionModel, subject: Subject, chosen: Any, out: Path, recipe: str = ALONE_TRAINED
) -> Iterator[Any]:
    """Train on a folder of five pictures, as a user's, or go on with it."""
    from PIL import Image

    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(shown(subject, SHOWN, 1)):
        Image.fromarray(picture).save(folder / f"{number}.png")
    training = _folder(out, recipe, chosen.seed)
    resume = (training / checkpoint.STATE).exists()
    about = {"data": "subject", "examples": SHOWN}
    pairs = OwnPictures(folder, model.pixels)
    yield from loop.train(model, RECIPES[recipe], chosen, pairs, training, about=about, resume=resume)


def with_token(model: DiffusionModel, out: Path, seed: int, recipe: str = ALONE_TRAINED) -> DiffusionModel:
    """The model with the token of a training on it; masks that learned with it are offered under the recipe's name."""
    part = _folder(out, recipe, seed) / checkpoint.PART
    if recipe == TOGETHER:
        offer(model, RECIPES[recipe].makes, recipe, part)
    return drawn.reading(model, part, TOKEN)


def _folder(out: Path, recipe: str, seed: int) -> Path:
    return out / f"{FOLDERS[recipe]}-{seed}"


def losses(model: DiffusionModel, subject: Subject, named: str) -> list[float]:
    """The diffusion loss on each of the fresh renders, asked for by that name: a mean over timesteps, noise that stays."""
    count, found = len(model.schedule.alphas_cumprod), []
    stream = torch.Generator().manual_seed(subject.number)
    t = torch.tensor([int((k + 0.5) * count / TIMES) for k in range(TIMES)], device=model.device)

    def predict(x_t: torch.Tensor, t: torch.Tensor, text: TextStates, draws: list[int]) -> torch.Tensor:
        return model.unet(x_t, t, **text.arguments).sample

    for picture in shown(subject, FRESH, 2):
        noise = torch.randn((TIMES, *model.latent_shape), generator=stream).to(model.device)
        batch = Batch(
            model=model, numbers=[], pairs=[Pair("", picture)] * TIMES, captions=[f"a {named}"] * TIMES, noise=noise,
            t=t, draws=[],
        )  # fmt: skip
        with torch.no_grad():
            found.append(float(diffusion.losses(model, predict, batch).mean()))
    return found


def closed(words: Sequence[float], lower: Sequence[float], token: Sequence[float]) -> dict[str, float]:
    """Which share of the gap in loss between the class word and the words the token closes, and its 95 % interval.

    Percentiles of a bootstrap over the renders, all three losses of one together.
    """
    all_of, part = np.subtract(lower, words), np.subtract(lower, token)
    drawn = np.random.default_rng(0).integers(0, len(part), (RESAMPLES, len(part)))
    low, high = np.quantile(part[drawn].mean(1) / all_of[drawn].mean(1), (0.025, 0.975))
    return {"value": float(part.mean() / all_of.mean()), "low": float(low), "high": float(high), "n": len(part)}


def all_closed(model: DiffusionModel, subject: Subject, out: Path, trainings: range) -> list[dict[str, float]]:
    """The share of the gap that each training closes."""
    words, lower = (losses(model, subject, named) for named in (subject.words, subject.shape))
    return [closed(words, lower, losses(with_token(model, out, seed), subject, TOKEN)) for seed in trainings]


def verdict(seen: Sequence[Thing], subject: Subject, other: Mapping[str, str] | None) -> dict[str, bool | None]:
    """What the checker finds of the subject, its texture apart, and of the other thing.

    `swallowed`: the subject is not there, and two things or more have the other one's color.
    """
    kind = {"shape": subject.shape, "color": subject.color}
    there = any(fits(thing, kind) for thing in seen)
    colored = other and sum(thing.color == other["color"] for thing in seen)
    return {
        "subject": there,
        "textured": any(fits(thing, {**kind, "texture": subject.texture}) for thing in seen),
        "other": other and any(fits(thing, other) for thing in seen),
        "swallowed": other and not there and colored > 1,
    }


def make(
    loaded: Loaded, subject: Subject, n: int, trainings: range, out: Path, *, done: Sequence[Mapping[str, Any]],
    guidance: float, should_stop: Callable[[], str] = str,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Make and judge what is missing; all trainings must be there.

    Yields:
        row, training (None where there is none in it), number, prompt, what `verdict` says, and the share removed.
    """
    made = {(row["row"], row["training"], row["number"]): row for row in done}
    base = replace(loaded.model, trained={kind: {**files} for kind, files in loaded.model.trained.items()})
    every = list(enumerate(prompts(subject, n)))
    for training, recipe in ((None, ""), *product(trainings, FOLDERS)):
        model = base if training is None else with_token(base, out, training, recipe)
        names = [name for name, row in ROWS.items() if row.recipe == recipe]
        for name, numbers, removed in drawn.missing(made, names, (training,), n):
            if should_stop():
                return
            missing = [every[number] for number in numbers]
            for number, one in _together(loaded, model, subject, missing, ROWS[name], guidance, removed):
                made[name, training, number] = {"row": name, "training": training, "number": number, **one}
                yield made[name, training, number]


def _together(
    loaded: Loaded, model: DiffusionModel, subject: Subject, wanted: Sequence[tuple[int, Asked]], row: Row,
    guidance: float, removed: float,
) -> Iterator[tuple[int, dict[str, Any]]]:  # fmt: skip
    """Pictures made in one batch and what is seen in each; random masks remove the share that trained ones removed."""
    spec = METHODS[row.method]
    named = {"words": subject.words, "class": subject.shape, "token": TOKEN}[row.asked]
    requests = [
        Request(
            prompt=asked.prompt.format(named), model=model.name, seed=seeds.of_case(subject.number, number),
            method=row.method, guidance=guidance, previews=False,
        )
        for number, asked in wanted
    ]  # fmt: skip
    own = {"generator": row.recipe} if row.recipe == TOGETHER else {}
    settings = spec.settings("", {"removed": removed} if row.method == "random_mask" else own)
    pictures = drawn.together(model, row.method, settings, requests)
    for (number, asked), request, (image, gone) in zip(wanted, requests, pictures, strict=True):
        seen = verdict(loaded.checker.see(image)[0], subject, asked.other)
        yield number, {"prompt": request.prompt, **seen, "removed": gone}


def summarize(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line per row of the table: shares with their 95 % intervals, and against the token without masks.

    Raises:
        ValueError: a row has no picture.
    """
    by_row = {name: {(r["training"], r["number"]): r for r in rows if r["row"] == name} for name in ROWS}
    if not all(by_row.values()):
        raise ValueError("Not every row has a picture yet; let it run longer.")
    return [
        {
            "row": name,
            **{kind: _share(by_row[name], kind) for kind in ("subject", "textured", "other", "swallowed")},
            "against_token": _against(by_row[name], by_row["token"]) if ROWS[name].asked == "token" and name != "token" else None,
            "removed": float(np.mean([row["removed"] for row in by_row[name].values()])),
        }
        for name in ROWS
    ]  # fmt: skip


def _share(mine: Mapping[Any, Mapping[str, Any]], kind: str) -> dict[str, float]:
    return share([row[kind] for row in mine.values()], [row["prompt"] for row in mine.values()])


def _against(mine: Mapping[Any, Mapping[str, Any]], token: Mapping[Any, Mapping[str, Any]]) -> dict[str, float]:
    both = [key for key in mine if key in token]
    now, before = ([rows[key]["subject"] for key in both] for rows in (mine, token))
    return change(now, before, [mine[key]["prompt"] for key in both])
