"""Embeddings (textual inversion, Gal et al. 2022): vectors that stand for a new word of the prompt, in three layouts.

diffusers has {token: vectors}, A1111 and kohya emb_params, and kohya for SDXL clip_l beside clip_g. Text encoder and
tokenizer of the model stay as they are: a copy knows the new word, and reads all other prompts to the same last bit.
"""

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

MOST = 64  # vectors of a file
ANONYMOUS = re.compile(r"emb_params|string_to_param\b.*|clip_l|\*")  # a layout's name for the vectors, not a token
TYPES = ("F16", "BF16", "F32", "F64")


class About(NamedTuple):
    """An embedding, before its vectors are read: its file, their tensor's name, their number, and the file's own token."""

    file: str
    tensor: str
    vectors: int
    width: int
    token: str


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
    shapes = header.shapes
    if "clip_g" in shapes:
        raise ValueError(
            f"{header.file} was made for SDXL, which has two text encoders (clip_l and clip_g). Take another."
        )
    name = next(iter(shapes), "")
    if len(shapes) != 1 or len(shapes[name]) not in (1, 2):
        what = next((what for what, is_it in FOREIGN.items() if is_it(shapes)), "something else").partition(",")[0]
        what = "a whole model" if any(key.startswith(UNET) for key in shapes) else what
        raise ValueError(f"{header.file} is no embedding but {what}.")
    if header.types[name] not in TYPES:
        raise ValueError(f"{header.file} is quantized ({header.types[name]}). Take the one in full precision.")
    vectors = shapes[name][0] if len(shapes[name]) == 2 else 1
    if not 0 < vectors <= MOST:
        raise ValueError(f"{header.file} has {vectors:,} vectors; an embedding has 1 to {MOST}. Take another.")
    own = re.sub(r"[\s,:]+", "-", path.stem) if ANONYMOUS.fullmatch(name) else name
    return About(header.file, name, vectors, shapes[name][-1], own)


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


def put_on(text_encoder: nn.Module, tokenizer: Any, files: Sequence[tuple[Path, str]]) -> tuple[nn.Module, WithWords]:
    """A text encoder and a tokenizer that know the new words; those given stay as they are.

    Args:
        files: each with the token that it gets, "" for its own.

    Raises:
        ValueError: a file is no embedding of such a model, or damaged, or its token is taken; nothing has been changed.
    """
    table = text_encoder.get_input_embeddings()
    count, width = table.weight.shape
    known = [(path, token or about(path).token, about(path)) for path, token in files]
    ids: dict[str, tuple[int, ...]] = {}
    for _, token, found in known:
        _check(found, token, width, tokenizer, ids)
        ids[token] = tuple(range(count, count + found.vectors))
        count += found.vectors
    rows = [_read(path, found).to(table.weight) for path, _, found in known]
    encoder = copied(text_encoder)
    larger = nn.Embedding(count, width, _weight=torch.cat([table.weight.detach(), *rows]))
    encoder.set_input_embeddings(larger.requires_grad_(False))
    # Old configurations say 2 and mean the largest id of a prompt, which is a new word's now.
    for module in encoder.modules():
        if hasattr(module, "eos_token_id"):
            module.eos_token_id = tokenizer.eos_token_id
    return encoder, WithWords(tokenizer, Words(ids))


def _check(found: About, token: str, width: int, tokenizer: Any, taken: Mapping[str, Any]) -> None:
    check_token(token)
    if found.width != width:
        made = f"{BASES[found.width]} ({found.width})" if found.width in BASES else f"a text width of {found.width}"
        raise ValueError(f"{found.file} was made for {made}, this model has {width}. Take one of its kind.")
    room = tokenizer.model_max_length - 2
    if found.vectors > room:
        raise ValueError(f"{found.file} has {found.vectors} vectors, and a prompt of this model has room for {room}.")
    other = f"Give it another name: FILE:<{re.sub(r'[^A-Za-z0-9-]+', '', token) or 'new'}>."
    if token.lower() in (each.lower() for each in taken):
        raise ValueError(f"Two embeddings are called “{token}”. {other}")
    if len(tokenizer(token, add_special_tokens=False).input_ids) == 1:
        raise ValueError(f"{found.file} is called “{token}”, which is a word of the model's vocabulary. {other}")


def _read(path: Path, found: About) -> Tensor:
    """The vectors (k, D)."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        vectors = file.get_tensor(found.tensor).float().view(found.vectors, found.width)
    if no_number([("vectors", vectors)]):
        raise ValueError(f"{found.file} holds values that are no numbers: it is damaged. Download it again.")
    return vectors
