"""What prompts ask of two things at once, as concepts: which color belongs to which, and how they stand.

To erase them is of little use; to amplify them is to remove what works against them.
"""

from dataclasses import dataclass

import numpy as np

from maskunet.experiments.concepts.concept import RETAIN, Example, TabletopConcept
from maskunet.tabletop.captions import RELATION_WORDS
from maskunet.tabletop.scenes import OPPOSITE
from maskunet.tabletop.tasks import Case, cases

ATTRIBUTE = "relation"
TASKS = {"binding": "color_attribution", "position": "position"}  # of which training prompts are taken
SEED = 1000  # the first turn's cases are those of this seed, the next turn's of the next one


@dataclass(frozen=True, kw_only=True, slots=True)
class RelationConcept:
    """A task of the embedded worlds; each prompt's rival has the colors exchanged, or the opposite relation.

    Attributes:
        retain: the attributes whose values are to stay. seed: of prompts and noise.
    """

    name: str
    retain: tuple[str, ...] = RETAIN
    seed: int = 0
    attribute: str = ATTRIBUTE

    def showing(self, n: int, turn: int, amplify: bool = False) -> list[Example]:
        """See `Concept`; the same prompts in both directions."""
        rng = np.random.default_rng((self.seed, turn, 2))
        found = cases(TASKS[self.name], n, seed=SEED + 100 * self.seed + turn, split="train")
        return [
            Example(
                prompt=case.prompt, caption=case.prompt, attribute=ATTRIBUTE, rivals=(rival(case),),
                seed=int(rng.integers(2**32)),
            )
            for case in found
        ]  # fmt: skip

    def staying(self, n: int, turn: int) -> list[Example]:
        """See `Concept`."""
        return TabletopConcept(name=self.name, attribute=ATTRIBUTE, retain=self.retain, seed=self.seed).staying(n, turn)


def rival(case: Case) -> str:
    """The prompt of the same things with the colors exchanged, or with the opposite relation."""
    if case.relation:
        words, other = (RELATION_WORDS[relation][0] for relation in (case.relation, OPPOSITE[case.relation]))
        return case.prompt.replace(f" {words} ", f" {other} ")
    first, second = (thing["color"] for thing in case.things)
    exchanged = {first: second, second: first}
    words = [exchanged.get(word, word) for word in case.prompt.split()]
    return " ".join(_article(word, after) for word, after in zip(words, [*words[1:], ""], strict=True))


def _article(word: str, after: str) -> str:
    return ("an" if after[:1] in "aeiou" else "a") if word in ("a", "an") else word
