"""A study: pairs of pictures of one prompt and seed, each picture under a name that tells nothing."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from maskunet.records.disk import whole
from maskunet.records.disk.hub import file_hash

SCHEMA = 1
FILE, PICTURES = "study.json", "pictures"
NAME = re.compile(r"[0-9a-f]{20}\.png")
PICTURE, NOISE = "a picture", "noise"  # the two of an obvious pair
MAX_FILE = 2**25  # bytes of the study file
MAX_PAIRS = 100_000
MAX_PER_VOTER = 200
LONGEST = {"prompt": 10_000, "seed": 200, "method": 500}  # characters
DAMAGED = "“study.json” was changed or damaged: {}. Make the study again, in another folder."


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures to choose from.

    Attributes:
        prompt: empty where nobody said it; then only looks are asked for.
        seed: what the two begin with, in words: the seed, or the file that both are called.
        methods, pictures: of the first and of the second, in the order of the study's methods.
    """

    prompt: str
    seed: str
    methods: tuple[str, str]
    pictures: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Study:
    """Pairs, and obvious ones of a picture and noise that tell who looks.

    Attributes:
        per_voter: pairs that one voter is shown at most, without repeats and obvious ones.
        files: SHA-256 of every picture, by its name.
    """

    methods: tuple[str, ...]
    pairs: tuple[Pair, ...]
    checks: tuple[Pair, ...]
    per_voter: int
    files: Mapping[str, str]

    @cached_property
    def shown(self) -> tuple[Pair, ...]:
        """All pairs, the obvious ones last."""
        return self.pairs + self.checks

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all of it, and so of every picture."""
        return hashlib.sha256(json.dumps(self._record(), sort_keys=True).encode()).hexdigest()

    def _record(self) -> dict[str, Any]:
        pairs, checks = (
            [{name: getattr(pair, name) for name in Pair.__slots__} for pair in some]
            for some in (self.pairs, self.checks)
        )
        own = {"methods": self.methods, "per_voter": self.per_voter, "pairs": pairs, "checks": checks}
        return {"schema": SCHEMA, **own, "pictures": dict(self.files)}

    def write(self, folder: Path) -> None:
        """Write the study file; the pictures are in the folder already."""
        text = json.dumps({"study": self.hash, **self._record()}, indent=1)
        whole.write(folder / FILE, f"{text}\n")


def read(folder: Path) -> Study:
    """The study of a folder, every picture of which is as it was when the study was made.

    Raises:
        ValueError: there is none, it is of another version, or it was changed; says what.
    """
    path = folder / FILE
    if not path.is_file():
        raise ValueError(f"“{folder.name}” holds no study. Make one: python -m maskunet vote make SOURCE --out DIR")
    if path.stat().st_size > MAX_FILE:
        raise ValueError(DAMAGED.format("it is too large"))
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        schema = record["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(DAMAGED.format("it is no study")) from None
    if schema != SCHEMA:
        raise ValueError(
            f"“{FILE}” is of version {schema!r:.20}; this program reads version {SCHEMA}. Take the program that "
            "made it, or make the study again."
        )
    study = _study(record)
    if study.hash != record.get("study"):
        raise ValueError(DAMAGED.format("its hash is another one"))
    for name, known in study.files.items():
        picture = folder / PICTURES / name
        if not picture.is_file() or file_hash(picture) != known:
            raise ValueError(DAMAGED.format(f"picture {name} is missing or another one"))
    return study


def _study(record: Mapping[str, Any]) -> Study:
    try:
        found = Study(
            methods=tuple(_text(name, "method") for name in record["methods"]),
            pairs=tuple(map(_pair, record["pairs"])),
            checks=tuple(map(_pair, record["checks"])),
            per_voter=record["per_voter"],
            files={str(name): str(known) for name, known in record["pictures"].items()},
        )
        named = {name for pair in found.shown for name in pair.pictures}
        fits = named <= set(found.files) and all(NAME.fullmatch(name) for name in found.files)
        fits &= {name for pair in found.pairs for name in pair.methods} <= set(found.methods)
        fits &= type(found.per_voter) is int and 1 <= found.per_voter <= MAX_PER_VOTER
        if fits and 1 <= len(found.pairs) <= MAX_PAIRS and len(found.checks) <= MAX_PER_VOTER:
            return found
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise ValueError(DAMAGED.format("it is no study"))


def _pair(record: Mapping[str, Any]) -> Pair:
    first, second = (_text(name, "method") for name in record["methods"])
    one, other = (_text(name, "method") for name in record["pictures"])
    return Pair(_text(record["prompt"], "prompt"), _text(record["seed"], "seed"), (first, second), (one, other))


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST[what]:
        raise ValueError
    return value
