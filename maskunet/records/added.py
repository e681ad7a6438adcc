"""What is put on a base model for a picture: LoRA files with a weight each, and embeddings with their tokens."""

import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, NamedTuple

MOST = 4  # files of each kind
MAX_WEIGHT = 5.0  # of a LoRA, to both sides
MAX_NAME = 200  # characters of a file's name
ENDING = ".safetensors"
READINGS = ("merged", "base")


class Added(NamedTuple):
    """What is on a base model; nothing by default.

    Attributes:
        loras: name and weight of each file. embeddings: name of each file and its token, "" for the file's own.
        lora_masks: what masks act on: the weights with the LoRA "merged", or those of the "base", with the LoRA
            unmasked beside them.
    """

    loras: tuple[tuple[str, float], ...] = ()
    embeddings: tuple[tuple[str, str], ...] = ()
    lora_masks: str = READINGS[0]


NOTHING = Added()


def split(text: str) -> tuple[str, str]:
    """FILE and what follows its last colon: FILE:0.8; nothing where it is the colon of a drive."""
    name, colon, rest = text.rpartition(":")
    if not colon or "/" in rest or "\\" in rest or rest.lower().endswith(ENDING):
        return text, ""
    return name, rest


def weight_of(text: str, of: str) -> float:
    """The weight of a LoRA from its text, 1 if there is none.

    Raises:
        ValueError: it is no number within the range.
    """
    try:
        weight = float(text) if text else 1.0
    except ValueError:
        weight = math.nan
    if not abs(weight) <= MAX_WEIGHT:
        raise ValueError(
            f"The weight of the LoRA in “{of[:MAX_NAME]}” is “{text[:20]}”; after the colon stands a number from "
            f"-{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, such as 0.8."
        )
    return weight


def written(name: str, value: str | float) -> str:
    """One of them as a request has it: NAME:WEIGHT or NAME:TOKEN; `split` takes it apart."""
    value = f"{value:g}" if isinstance(value, int | float) else value
    return f"{name}:{value}" if value else name


def loras_of(texts: Any) -> tuple[str, ...]:
    """LoRA files of a request, checked, each as NAME:WEIGHT.

    Raises:
        ValueError: too many, the same one twice, no name of a file, or no weight.
    """
    found = [split(text) for text in _texts(texts, "LoRA files")]
    return tuple(written(_named(name), weight_of(value, f"{name}:{value}")) for name, value in found)


def embeddings_of(texts: Any) -> tuple[str, ...]:
    """Embeddings of a request, checked, each as NAME or NAME:TOKEN.

    Raises:
        ValueError: too many, the same one twice, no name of a file, or no token.
    """
    found = [split(text) for text in _texts(texts, "embeddings")]
    for _, token in found:
        if token:
            check_token(token)
    return tuple(written(_named(name), token) for name, token in found)


def check_token(token: str) -> None:
    """Refuse what cannot be one word of a prompt.

    Raises:
        ValueError: it is empty, too long, or has spaces or control characters.
    """
    if not re.fullmatch(r"[^\s,:]{1,64}", token) or not _clean(token):
        raise ValueError(
            f"The token of an embedding is “{token[:64]}”; allowed are 1 to 64 characters without spaces, commas and colons."
        )


def _texts(texts: Any, what: str) -> tuple[str, ...]:
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"The {what} must be a list of texts, each the name of a file.")
    if len(texts) > MOST:
        raise ValueError(f"There are {len(texts)} {what}; at most {MOST} go together.")
    names = [split(text)[0] for text in texts]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"Among the {what} “{twice[:MAX_NAME]}” is named twice; give it once.")
    return tuple(texts)


def _named(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME or "/" in name or "\\" in name or name.startswith(".") or not _clean(name):
        raise ValueError(f"“{name[:60]}” is no name of a file; give it without its folder.")
    return name


def _clean(text: str) -> bool:
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def of(loras: Iterable[str], embeddings: Iterable[str], lora_masks: str) -> Added:
    """What checked texts of a request say."""
    weighed = ((name, weight_of(value, name)) for name, value in map(split, loras))
    return Added(tuple(weighed), tuple(map(split, embeddings)), lora_masks if loras else READINGS[0])


def check(asked: Added, here: Added) -> None:
    """Refuse to make with a model what was asked for with other LoRA files and embeddings on it.

    Args:
        asked: of a request; nothing, where it leaves that to the model. here: the model's, with every token.

    Raises:
        ValueError: says what to give.
    """
    tokens = dict(here.embeddings)
    whole = asked._replace(embeddings=tuple((name, token or tokens.get(name, "")) for name, token in asked.embeddings))
    if whole in (NOTHING, here):
        return
    flags = [f"--lora {written(*each)}" for each in asked.loras]
    flags += [f"--embedding {written(*each)}" for each in asked.embeddings]
    flags += ["--lora-masks base"] * (asked.lora_masks != READINGS[0])
    raise ValueError(
        f"This was made with {' '.join(flags)}, named after their files. Give these files with the same values, or another "
        "picture comes out."
    )
