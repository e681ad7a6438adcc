"""Embeddings (textual inversion, Gal et al. 2022): vectors that stand for a new word of the prompt, in three layouts.

diffusers has {token: vectors}, A1111 and kohya emb_params, and kohya for SDXL clip_l beside clip_g. Text encoder and
tokenizer of the model stay as they are: a copy knows the new word, and reads all other prompts to the same last bit.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from maskunet.encoders.reading import no_number
from maskunet.models.base.lora.put_on import BASES, copied
from maskunet.models.base.single_file import header as headers
from maskunet.models.base.single_file.kinds import FOREIGN, UNET
from maskunet.prompts.words import shortened
from maskunet.records.added import check_token
from maskunet.records.disk import trained_file

MOST = 64  # vectors of a file
FORM = "maskunet-embedding-1"  # an entry of the header of those that were trained here
ANONYMOUS = re.compile(r"emb_params|string_to_param\b.*|clip_l|\*")  # a layout's name for the vectors, not a token
BOTH = ("clip_l", "clip_g")  # of SDXL's text encoders, the first and the second
TYPES = ("F16", "BF16", "F32", "F64")


class About(NamedTuple):
    """An embedding, before its vectors are read.

    Attributes:
        file: its name in quotation marks. token: its own.
        tensors: the name and width of the vectors for each text encoder; SDXL has two. vectors: of each, as many.
    """

    file: str
    token: str
    tensors: tuple[tuple[str, int], ...]
    vectors: int


def about(path: Path) -> About:
    """What an embedding file holds, from its header alone.

    Raises:
        ValueError: it is damaged, a pickle, or no embedding; one sentence.
    """
    if path.suffix.lower() in headers.PICKLES:
        raise ValueError(
            f"“{shortened(path.name, 80)}” is a pickle, which can run programs, and is not read. If you trust it, save its "
            "vectors as .safetensors: safetensors.torch.save_file({'emb_params': torch.load(FILE, weights_only=True)"
            "['string_to_param']['*']}, NEW)."
        )
    header = headers.read(path)
    beside = trained_file.WORD if any(name.startswith(trained_file.WORD) for name in header.shapes) else ""
    shapes, types = (
        {name.removeprefix(beside): each for name, each in found.items() if name.startswith(beside)}
        for found in (header.shapes, header.types)
    )  # of masks that learned with a word, the word
    names = BOTH if {*shapes} == {*BOTH} else tuple(shapes)[:1]
    if not shapes or len(names) != len(shapes) or not all(len(shape) in (1, 2) for shape in shapes.values()):
        what = next((what for what, is_it in FOREIGN.items() if is_it(shapes)), "something else").partition(",")[0]
        what = "a whole model" if any(key.startswith(UNET) for key in shapes) else what
        raise ValueError(f"{header.file} is no embedding but {what}.")
    if odd := next((kind for kind in types.values() if kind not in TYPES), ""):
        raise ValueError(f"{header.file} is quantized ({odd}). Take the one in full precision.")
    vectors, *others = (shapes[name][0] if len(shapes[name]) == 2 else 1 for name in names)
    if not 0 < vectors <= MOST:
        raise ValueError(f"{header.file} has {vectors:,} vectors; an embedding has 1 to {MOST}. Take another.")
    if others and others != [vectors]:
        raise ValueError(f"{header.file} has {vectors} vectors in clip_l and {others[0]} in clip_g: it is damaged.")
    own = re.sub(r"[\s,:]+", "-", path.stem) if ANONYMOUS.fullmatch(names[0]) else names[0]
    own = _told(header.metadata) or own
    return About(header.file, own, tuple((beside + name, shapes[name][-1]) for name in names), vectors)


def _told(metadata: Mapping[str, str]) -> str:
    """The token that a file of our own trainings names; empty in others."""
    try:
        entry = next(entry for entry in metadata if trained_file.FORM.fullmatch(entry))
        return str(json.loads(metadata[entry])["token"])
    except (StopIteration, KeyError, ValueError, TypeError, RecursionError):
        return ""


class Words(NamedTuple):
    """New words of a prompt: each with the ids that its vectors have."""

    ids: Mapping[str, tuple[int, ...]]

    @property
    def pattern(self) -> re.Pattern[str]:
        """Finds one, not as a part of a longer word, in capitals or not, the longest first."""
        begin, end = r"(?<!\w)", r"(?!\w)"
        words = sorted(self.ids, key=len, reverse=True)
        each = (f"{begin * word[0].isalnum()}{re.escape(word)}{end * word[-1].isalnum()}" for word in words)
        return re.compile("|".join(each), re.IGNORECASE)


class WithWords:
    """A tokenizer that reads new words, each as the ids of its vectors; a text without one is left to the plain one.

    Args:
        plain: the model's tokenizer, which stays as it is. words: see `Words`.
    """

    def __init__(self, plain: Any, words: Words):
        self.plain, self.words = plain, words
        self._pattern = words.pattern
        self._ids = {word.lower(): ids for word, ids in words.ids.items()}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["plain"], name)

    def __len__(self) -> int:
        return len(self.plain)

    def __call__(self, text: str | Sequence[str], **how: Any) -> Any:
        """As the plain one, of which the arguments that are used here work the same."""
        several = [text] if isinstance(text, str) else list(text)
        if not any(self._pattern.search(each) for each in several):
            return self.plain(text, **how)
        from transformers import BatchEncoding

        rows = [self._row(each, **how) for each in several]
        found = {name: [row[name] for row in rows] for name in rows[0]}
        if isinstance(text, str) and not how.get("return_tensors"):
            found = rows[0]
        return BatchEncoding(found, tensor_type=how.get("return_tensors"))

    def _row(
        self,
        text: str,
        *,
        padding: bool | str = False,
        truncation: bool = False,
        max_length: int | None = None,
        add_special_tokens: bool = True,
        return_offsets_mapping: bool = False,
        **_: Any,
    ) -> dict[str, list[Any]]:
        pieces = self._pieces(text)
        most = max_length or self.plain.model_max_length
        if add_special_tokens:
            pieces = pieces[: most - 2] if truncation else pieces
            pieces = [(self.plain.bos_token_id, (0, 0)), *pieces, (self.plain.eos_token_id, (0, 0))]
        elif truncation:
            pieces = pieces[:most]
        filled = most - len(pieces) if padding == "max_length" else 0
        row = {
            "input_ids": [number for number, _ in pieces] + [self.plain.pad_token_id] * filled,
            "attention_mask": [1] * len(pieces) + [0] * filled,
        }
        offsets = [span for _, span in pieces] + [(0, 0)] * filled
        return row | ({"offset_mapping": offsets} if return_offsets_mapping else {})

    def _pieces(self, text: str) -> list[tuple[int, tuple[int, int]]]:
        """Each token's id and its characters, without start and end."""
        pieces: list[tuple[int, tuple[int, int]]] = []
        done = 0
        for found in (*self._pattern.finditer(text), None):
            between = text[done : found.start() if found else len(text)]
            plain = self.plain(between, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            spans = [(done + start, done + stop) for start, stop in plain.offset_mapping]
            pieces += zip(plain.input_ids, spans, strict=True)
            if found:
                pieces += [(number, found.span()) for number in self._ids[found.group().lower()]]
                done = found.end()
        return pieces


Reader = tuple[nn.Module, Any]
"""A text encoder and its tokenizer."""


def put_on(readers: Sequence[Reader], files: Sequence[tuple[Path, str]]) -> list[tuple[nn.Module, WithWords]]:
    """Text encoders and tokenizers that know the new words; those given stay as they are.

    Args:
        readers: one, or SDXL's two. files: each with the token that it gets, "" for its own.

    Raises:
        ValueError: a file is no embedding of such a model, or damaged, or its token is taken; nothing has been changed.
    """
    known = [(path, token or about(path).token, about(path)) for path, token in files]
    counts = [encoder.get_input_embeddings().num_embeddings for encoder, _ in readers]
    ids: list[dict[str, tuple[int, ...]]] = [{} for _ in readers]
    for _, token, found in known:
        _check(found, token, readers, ids[0])
        for place, count in enumerate(counts):
            ids[place][token] = tuple(range(count, count + found.vectors))
            counts[place] += found.vectors
    rows = [[_read(path, found, place) for path, _, found in known] for place in range(len(readers))]
    return [
        (_taught(encoder, tokenizer, new), WithWords(tokenizer, Words(words)))
        for (encoder, tokenizer), new, words in zip(readers, rows, ids, strict=True)
    ]


def _taught(text_encoder: nn.Module, tokenizer: Any, rows: Sequence[Tensor]) -> nn.Module:
    """A copy with more rows in its table."""
    table = text_encoder.get_input_embeddings().weight
    weight = torch.cat([table.detach(), *(each.to(table) for each in rows)])
    return with_table(text_encoder, tokenizer, nn.Embedding(*weight.shape, _weight=weight).requires_grad_(False))


def with_table(text_encoder: nn.Module, tokenizer: Any, table: nn.Module) -> nn.Module:
    """A copy of a text encoder that looks its tokens up in another table, one with more rows."""
    encoder = copied(text_encoder)
    encoder.set_input_embeddings(table)
    # Old configurations say 2 and mean the largest id of a prompt, which is a new word's now.
    for module in encoder.modules():
        if hasattr(module, "eos_token_id"):
            module.eos_token_id = tokenizer.eos_token_id
    return encoder


def _check(found: About, token: str, readers: Sequence[Reader], taken: Mapping[str, Any]) -> None:
    check_token(token)
    tokenizer = readers[0][1]
    widths = [encoder.get_input_embeddings().embedding_dim for encoder, _ in readers]
    if len(found.tensors) > len(widths):
        raise ValueError(
            f"{found.file} was made for SDXL, which has two text encoders (clip_l and clip_g). Take another."
        )
    if len(found.tensors) < len(widths):
        raise ValueError(f"{found.file} has vectors for one text encoder; SDXL needs clip_l and clip_g. Take another.")
    for (_, theirs), width in zip(found.tensors, widths, strict=True):
        if theirs != width:
            made = f"{BASES[theirs]} ({theirs})" if theirs in BASES else f"a text width of {theirs}"
            raise ValueError(f"{found.file} was made for {made}, this model has {width}. Take one of its kind.")
    room = tokenizer.model_max_length - 2
    if found.vectors > room:
        raise ValueError(f"{found.file} has {found.vectors} vectors, and a prompt of this model has room for {room}.")
    other = f"Give it another name: FILE:<{re.sub(r'[^A-Za-z0-9-]+', '', token) or 'new'}>."
    if token.lower() in (each.lower() for each in taken):
        raise ValueError(f"Two embeddings are called “{token}”. {other}")
    if len(tokenizer(token, add_special_tokens=False).input_ids) == 1:
        raise ValueError(f"{found.file} is called “{token}”, which is a word of the model's vocabulary. {other}")


def _read(path: Path, found: About, place: int) -> Tensor:
    """The vectors (k, D) for one of the text encoders."""
    from safetensors import safe_open

    name, width = found.tensors[place]
    with safe_open(path, framework="pt") as file:
        vectors = file.get_tensor(name).float().view(found.vectors, width)
    if no_number([("vectors", vectors)]):
        raise ValueError(f"{found.file} holds values that are no numbers: it is damaged. Download it again.")
    return vectors
