"""DreamBooth (Ruiz et al. 2023): a few pictures of one subject under a rare name, and class pictures beside them.

The loss is Eq. 2 there: the mean over the subject's pictures plus `prior_weight` times the mean over the class
pictures. Both have the same number in a batch, so their samples' weights are 2 and 2 `prior_weight` in the mean over all.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records.training import Preparing
from maskunet.rewards.base import WeightedRewards
from maskunet.training import class_pictures
from maskunet.training.data import Alternating, Feed
from maskunet.training.own_pictures import Worded
from maskunet.training.sampling import guidance_setting, steps_setting

# Of every recipe's preset for tabletop, whose pictures are those of `maskunet.tabletop.subjects`.
TABLETOP = {
    "steps": 1000, "batch": 8, "micro_batch": 8, "every": 100, "instance_prompt": "a sks cylinder",
    "class_prompt": "a cylinder", "class_pictures": 32, "sampling_steps": 15,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)  # without slots, so that a recipe's settings can extend two classes
class DreamBoothSettings:
    """What DreamBooth adds to a recipe's settings.

    Attributes:
        instance_prompt: of the subject's pictures without a caption of their own: a rare name and a class word.
        class_prompt: of the class pictures. class_pictures: how many the base model makes; 0 for none, and no prior.
        prior_weight: of the class pictures' loss.
        sampling_steps, guidance: of the class pictures; guidance 0 takes the model's own.
    """

    instance_prompt: str = setting("a photo of sks object", "of the subject: a rare name and its class")
    class_prompt: str = setting("a photo of an object", "of the class pictures")
    class_pictures: int = setting(100, "by the base model; 0 for none", low=0, high=10_000)
    prior_weight: float = setting(1.0, "of the class pictures' loss", low=0.0, high=100.0)
    sampling_steps: int = steps_setting("steps of a class picture", 25)
    guidance: float = guidance_setting()


def check(settings: DreamBoothSettings) -> str:
    """A sentence on prompts that may not do what is wanted, or empty.

    Raises:
        ValueError: a prompt is missing, or the class's is the subject's.
    """
    subject, of_class = _words(settings.instance_prompt), _words(settings.class_prompt)
    if not subject:
        raise ValueError("The instance prompt is empty. Give a rare name and a class, such as “a photo of sks dog”.")
    if not settings.class_pictures:
        return ""
    if not of_class:
        raise ValueError("The class prompt is empty. Give the class, such as “a photo of a dog”, or no class pictures.")
    word = of_class[-1]
    if subject == of_class:
        raise ValueError(
            f"The class prompt is the instance prompt, which would teach that every {word} is the subject. Give the instance "
            f"prompt a rare name, such as “sks {word}”, and the class prompt none."
        )
    if word not in subject:
        return (
            f"The instance prompt does not name the class “{word}”; the class pictures then protect another word. Write "
            f"“sks {word}” there, for example, or give a class prompt that ends in its class."
        )
    return ""


def _words(prompt: str) -> list[str]:
    return prompt.lower().replace(".", " ").replace(",", " ").split()


def prepare(
    model: DiffusionModel, settings: Any, feed: Feed, rewards: WeightedRewards | None, place: Path
) -> Generator[Preparing, None, Worded | Alternating]:
    """Make the class pictures that are not there yet; the subject's pictures and they come in turn.

    Args:
        settings: `DreamBoothSettings` with a batch and a seed. feed: the subject's pictures. place: as
            `class_pictures.prepare`.

    Raises:
        ValueError: as `check`; or the batch is odd, which is told before anything is made.
    """
    note = check(settings)
    prior = settings.class_pictures > 0
    if prior and settings.batch % 2:
        raise ValueError(
            f"The batch is {settings.batch}; with class pictures it must be even. Give {settings.batch + 1}, or set "
            "class_pictures to 0."
        )
    subject = Worded(feed.pairs, lambda own, rng: own or settings.instance_prompt, weight=2.0 if prior else 1.0)
    if not prior:
        return subject
    how = class_pictures.Made(
        prompt=settings.class_prompt, count=settings.class_pictures, seed=settings.seed,
        steps=settings.sampling_steps, guidance=settings.guidance,
    )  # fmt: skip
    if note:
        yield Preparing(done=0, total=how.count, note=note, what=class_pictures.WHAT)
    made = yield from class_pictures.prepare(model, how, place)
    return Alternating(subject, Worded(made, lambda own, rng: own, weight=2 * settings.prior_weight))


def shown(settings: DreamBoothSettings) -> Sequence[str]:
    """What the sample sheets show: the subject twice, and the class twice."""
    return [settings.instance_prompt] * 2 + [settings.class_prompt or settings.instance_prompt] * 2


SHARED: dict[str, Any] = {"prepare": prepare, "own_pictures": True, "shown": shown}
"""What the SPECs of the recipes have in common."""
