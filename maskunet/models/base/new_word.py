"""A word that learns (textual inversion, Gal et al. 2022): its vectors in each text encoder's table, and its file.

The published script runs AdamW over the whole table and puts all other rows back after each step. AdamW works on each
number for itself, so training the new rows alone is the same, without moments for 49,408 rows.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.models.base.embedding import BOTH, FORM, MOST, WithWords, Words, with_table
from maskunet.models.base.model import DiffusionModel
from maskunet.records.added import check_token
from maskunet.records.disk import trained_file


class _Table(nn.Module):
    """A text encoder's frozen table of vectors, with rows behind its last one that learn."""

    def __init__(self, plain: nn.Embedding, rows: nn.Parameter):
        super().__init__()
        self.plain, self.rows = plain, rows
        self.num_embeddings, self.embedding_dim = plain.num_embeddings + len(rows), plain.embedding_dim

    @property
    def weight(self) -> Tensor:
        """(N, D), whose dtype and device others ask for."""
        return self.plain.weight

    def forward(self, ids: Tensor) -> Tensor:
        """(..., D) the vectors of token ids (...)."""
        known = len(self.plain.weight)
        old = self.plain(ids.clamp(max=known - 1))
        new = F.embedding((ids - known).clamp(min=0), self.rows).to(old)
        return torch.where((ids >= known)[..., None], new, old)


class NewWord(nn.Module):
    """The vectors of a new word, which are parameters, and the model that reads it. The one given stays as it is.

    Args:
        token: what is written in a prompt. begin: the word of the model's from which the vectors begin, or as many
            tokens as there are vectors; empty for the mean of its vocabulary. vectors: how many tokens the word takes.

    Attributes:
        model: reads the token. rows: one (vectors, D) for each text encoder.

    Raises:
        ValueError: the token is no new word, or the first word is several tokens; says which.
    """

    def __init__(self, model: DiffusionModel, token: str, begin: str, vectors: int):
        super().__init__()
        check_new(model, token, vectors)
        self.token = token
        first = [_first(*reader, begin, vectors) for reader in model.readers]
        self.rows = nn.ParameterList([nn.Parameter(each) for each in first])
        ends, networks = ("", "_2"), {}
        for end, rows, (encoder, tokenizer) in zip(ends, self.rows, model.readers, strict=False):
            plain = encoder.get_input_embeddings()
            ids = tuple(range(plain.num_embeddings, plain.num_embeddings + vectors))
            networks[f"text_encoder{end}"] = with_table(encoder, tokenizer, _Table(plain, rows))
            networks[f"tokenizer{end}"] = WithWords(tokenizer, Words({token: ids}))
        self.model = replace(model, **networks, cache={})

    @property
    def norm(self) -> float:
        """The mean length of the vectors, in median lengths of the vocabulary's."""
        found = []
        for rows, (encoder, _) in zip(self.rows, self.model.readers, strict=True):
            usual = encoder.get_input_embeddings().weight.float().norm(dim=1).median()
            found.append(float(rows.detach().norm(dim=1).mean() / usual))
        return sum(found) / len(found)

    @property
    def vectors(self) -> dict[str, Tensor]:
        """What has been learned, by the names that others read."""
        names = BOTH if len(self.rows) > 1 else (self.token,)
        return {name: rows.detach().cpu().contiguous() for name, rows in zip(names, self.rows, strict=True)}

    def save(self, path: Path, base: Mapping[str, Any]) -> None:
        """Write it as diffusers, A1111 and ComfyUI read it: {token: vectors}, of SDXL clip_l and clip_g.

        Args:
            base: see `trained_file.header`.
        """
        trained_file.write(path, self.vectors, trained_file.header(base, {"token": self.token}, FORM))


def check_new(model: DiffusionModel, token: str, vectors: int) -> None:
    """Refuse what cannot be a new word of this model.

    Raises:
        ValueError: says why.
    """
    check_token(token)
    tokenizer = model.tokenizer
    taken = [word.lower() for word in tokenizer.words.ids] if isinstance(tokenizer, WithWords) else []
    known = any(len(tokenizer(each, add_special_tokens=False).input_ids) == 1 for each in (token, token.lower()))
    if known or token.lower() in taken:  # a prompt finds the new word in capitals or not
        own = re.sub(r"[^\w-]+", "", token) or "new"
        raise ValueError(
            f"“{token}” is a word that the model knows already. Give the new one a name of its own, such as <{own}-1>."
        )
    room = tokenizer.model_max_length - 2
    if not 0 < vectors <= min(MOST, room):
        raise ValueError(f"A word of {vectors} vectors does not fit: 1 to {min(MOST, room)} are allowed.")


@torch.no_grad()
def _first(encoder: nn.Module, tokenizer: Any, begin: str, vectors: int) -> Tensor:
    """(vectors, D) float32, from which the learning begins."""
    table = encoder.get_input_embeddings().weight.float()
    if not begin.strip():
        return table.mean(0, keepdim=True).repeat(vectors, 1)
    ids = tokenizer(begin, add_special_tokens=False).input_ids
    if len(ids) not in (1, vectors):
        parts = ", ".join(f"“{tokenizer.decode([number]).strip()}”" for number in ids[:12])
        raise ValueError(
            f"“{begin[:60]}” is {len(ids)} tokens of this model: {parts}. Begin from one of them, or give the word as many "
            "vectors."
        )
    return table[ids].repeat(vectors // len(ids), 1).clone()
