"""Steering a relation's vectors (ReVersion, Huang et al. 2023): near prepositions, far from the things that it relates.

A contrast with several positives (InfoNCE) among the vectors of the vocabulary, of which none but the new word's learns.
The lists are this repository's own. A preposition counts where it is one token of the model.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet.models.base import DiffusionModel
from maskunet.models.base.new_word import NewWord

TEMPERATURE = 0.07
POSITIVES = 4  # prepositions that a sample draws
CLOSED_CLASS = """
about above across after against along alongside amid among around at atop before behind below beneath beside between beyond
by despite down during except from in inside into near of off on onto opposite out outside over past per round since through
throughout till to toward towards under underneath unlike until up upon via with within without
"""
SMALL_WORDS = """
a an the this that these those some any each every all both no not and or but nor so yet if than then as i you he she it we
they me him her us them my your his its our their who whom whose which what where when why how am is are was were be been being
do does did have has had can could may might must shall should will would there here very too just also only own same other
s t d m ll re ve
"""
PREPOSITIONS, STOP_WORDS = tuple(CLOSED_CLASS.split()), frozenset(SMALL_WORDS.split())


def contrast(word: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """The mean over the word's vectors of -log of the positives' share: sum e^{cos / T} of them over that of all.

    Args:
        word: (k, D). positives, negatives: (P, D) and (N, D), P at least 1.
    """
    others = F.normalize(torch.cat([positives, negatives]), dim=1)
    near = F.normalize(word, dim=1) @ others.T / TEMPERATURE
    return (near.logsumexp(1) - near[:, : len(positives)].logsumexp(1)).mean()


class Steering:
    """The contrast for the captions of a batch: its positives and negatives are those of all samples together.

    Args:
        model: the base model, whose tables do not learn.

    Raises:
        ValueError: no preposition is one token of the model's.
    """

    def __init__(self, model: DiffusionModel):
        self._tables = [encoder.get_input_embeddings().weight.detach() for encoder, _ in model.readers]
        self._content = cache(content)  # of a few captions, which come again and again
        self._positives = [_prepositions(tokenizer) for _, tokenizer in model.readers]
        if not all(self._positives):
            raise ValueError(
                "No preposition is one token of this model, so nothing can steer the relation. Set steering to 0."
            )

    def __call__(self, word: NewWord, captions: Sequence[str], draws: Sequence[int]) -> Tensor:
        """A number; its gradient goes to the word's vectors alone.

        Args:
            draws: of each sample, from which its prepositions follow.
        """
        device, found = word.rows[0].device.type, []
        with torch.autocast(device, enabled=False):
            for place, (_, tokenizer) in enumerate(word.model.readers):
                table, known = self._tables[place], self._positives[place]
                near = [number for draw in draws for number in _drawn(known, draw)]
                far = [number for caption in captions for number in self._content(tokenizer, caption, len(table))]
                found.append(contrast(word.rows[place], table[near].float(), table[far].float()))
        return torch.stack(found).mean()


def _prepositions(tokenizer: object) -> list[int]:
    ids = (tokenizer(word, add_special_tokens=False).input_ids for word in PREPOSITIONS)
    return [each[0] for each in ids if len(each) == 1]


def _drawn(known: Sequence[int], draw: int) -> list[int]:
    rng = np.random.default_rng((13, draw))
    return rng.permutation(known)[:POSITIVES].tolist()


def content(tokenizer: object, caption: str, known: int) -> list[int]:
    """The tokens of a caption that name things: no stop word, no preposition, no mark, no padding, no new word.

    Args:
        known: tokens of the model; a new word's ids are behind them.
    """
    ids = tokenizer(caption, add_special_tokens=False).input_ids[: tokenizer.model_max_length - 2]
    special = {*tokenizer.all_special_ids}  # the padding of SD 2 is "!"
    return [number for number in ids if number < known and number not in special and _names(tokenizer, number)]


def _names(tokenizer: object, number: int) -> bool:
    text = tokenizer.decode([number]).strip().lower()
    return text.isalnum() and text not in STOP_WORDS and text not in PREPOSITIONS
