"""A concept of someone's own, from files of prompts: for any base model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskunet import seeds
from maskunet.experiments.concepts.attribution import RIVALS
from maskunet.experiments.concepts.concept import Example
from maskunet.prompts import files

BETWEEN = "|"  # several rivals of a prompt
ATTRIBUTE = "own"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedConcept:
    """A concept by its prompts.

    Attributes:
        prompts: that show it. rivals: of each prompt the captions that would fit, were the concept gone.
        retain: prompts that must stay as they are; the rivals of each are those that follow it.
        seed: of the noise.
    """

    name: str
    prompts: tuple[str, ...]
    rivals: tuple[tuple[str, ...], ...]
    retain: tuple[str, ...]
    seed: int = 0
    attribute: str = ATTRIBUTE

    def showing(self, n: int, turn: int, amplify: bool = False) -> list[Example]:
        """See `Concept`; to amplify, the first rival of each prompt is what is asked for."""
        found = []
        for i in range(turn * n, (turn + 1) * n):
            prompt, rivals = self.prompts[i % len(self.prompts)], self.rivals[i % len(self.prompts)]
            asked = rivals[0] if amplify else prompt
            found.append(self._example(asked, prompt, rivals, 2 * i))
        return found

    def staying(self, n: int, turn: int) -> list[Example]:
        """See `Concept`."""
        found = []
        for i in range(turn * n, (turn + 1) * n):
            around = [self.retain[(i + k) % len(self.retain)] for k in range(min(1 + RIVALS, len(self.retain)))]
            found.append(self._example(around[0], around[0], tuple(around[1:]), 2 * i + 1))
        return found

    def _example(self, prompt: str, caption: str, rivals: tuple[str, ...], number: int) -> Example:
        seed = seeds.of_prompt(self.seed, number)
        return Example(prompt=prompt, caption=caption, attribute=self.attribute, rivals=rivals, seed=seed)


def read(name: str, prompts: Path | None, rivals: Path | None, retain: Path | None, seed: int = 0) -> ListedConcept:
    """The concept of three files of prompts (`maskunet.prompts.files`).

    Args:
        rivals: has a line for each of the prompts, several rivals of one with “|” between them.

    Raises:
        ValueError: a file is missing, cannot be read or does not fit, or what must stay has the concept.
    """
    if None in (prompts, rivals, retain):
        raise ValueError(
            f"“{name:.40}” needs prompts that show it, a rival for each, and prompts that must stay: give --prompts, "
            "--rivals and --retain-prompts."
        )
    shown, others, stays = ([prompt.text for prompt in files.read(path)] for path in (prompts, rivals, retain))
    if len(shown) != len(others):
        raise ValueError(
            f"There are {len(shown)} prompts and {len(others)} lines of rivals. Give a line for each prompt."
        )
    apart = [tuple(filter(None, (each.strip() for each in line.split(BETWEEN)))) for line in others]
    _check(name, shown, apart, stays)
    return ListedConcept(name=name, prompts=tuple(shown), rivals=tuple(apart), retain=tuple(stays), seed=seed)


def _check(name: str, shown: Sequence[str], rivals: Sequence[Sequence[str]], stays: Sequence[str]) -> None:
    for prompt, others in zip(shown, rivals, strict=True):
        if not others or prompt in others:
            raise ValueError(
                f"The rivals of “{prompt:.60}” are none or the prompt itself. Give what is there without “{name}”."
            )
    if len({*stays}) < 2:
        raise ValueError("At least two different prompts must stay: each is the other's rival.")
    for prompt in stays:
        if prompt in shown or name.lower() in prompt.lower().split():
            raise ValueError(f"The prompts that must stay hold “{name}”: “{prompt:.60}”. Take it out.")
