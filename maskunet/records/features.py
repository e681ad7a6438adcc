"""Plain data between a page and the work on features: what can be chosen, what is asked, what came out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskunet.plugins import cards, setting

EXTRACTOR = "tabletop"  # the one that is taken if none is named


@dataclass(frozen=True, kw_only=True, slots=True)
class SetCard:
    """A set of pictures that can be chosen.

    Attributes:
        key: what a request calls it, and `title`, what a person reads.
        n: its pictures.
        extractor: the name of the one its features were precomputed with, and `file`, where they are; empty for a
            folder of pictures, which goes through the extractor that is asked for.
        reason: why it cannot be chosen, one sentence, or empty.
    """

    key: str
    title: str
    n: int = 0
    extractor: str = ""
    file: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureRequest:
    """Which sets to lay side by side, and how.

    Attributes:
        sets: their keys, and `reference`, the key of the one that the others are measured against.
        embedding: "t-SNE", "PCA" or "UMAP"; `perplexity` does not count for PCA.
        seed: of the embedding, of the intervals and of the pictures taken from a large folder.
        extractor: the network for folders of pictures, and `most`, how many are taken of each.
    """

    sets: tuple[str, ...]
    reference: str
    embedding: str = "t-SNE"
    perplexity: float = 30.0
    seed: int = setting(0, "of embedding and intervals", low=0, high=2**32 - 1)
    extractor: str = EXTRACTOR
    most: int = setting(500, "pictures taken of a folder", low=4, high=2048)


RANGES = tuple(card for card in cards(FeatureRequest) if card.high is not None)
"""The numbers of a request that have ends, for `plugins.check`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """The sets in the plane; all mappings have the sets' titles as keys, in one order.

    Attributes:
        title: how it was made, such as "t-SNE, perplexity 30, seed 0".
        caveat: what not to read out of it, one sentence.
        extractor: whose features they are.
        points: (N, 2) each; none where `problem` says why they could not be put into a plane.
        thumbnails: (N, 48, 48, 3) uint8.
        notes: sentences on pictures that were left out and captions that did not fit.
    """

    title: str
    caveat: str
    extractor: str
    points: Mapping[str, np.ndarray]
    thumbnails: Mapping[str, np.ndarray]
    files: Mapping[str, tuple[str, ...]]
    captions: Mapping[str, tuple[str, ...]]
    problem: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """Every set against the reference.

    Attributes:
        rows: set, reference, measure, value, low, high, n, n_reference, note; the three numbers are
            None where it could not be measured, and the note says why.
        about: for each kind of measure how to read it and how its interval was made, in sentences.
    """

    reference: str
    rows: tuple[Mapping[str, Any], ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureEvent:
    """How far a drawing is.

    Attributes:
        phase: "waiting", "starting", "extracting", "embedding", "measuring", and at last "done" or "stopped".
        name: of the set that is extracted or measured, or of the embedding.
        done, total: pictures of the set, where the phase can be counted; else 0.
        seconds: since the phase began for this name.
        plane, measures: with the first event that has them, and with no other.
    """

    phase: str
    name: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    plane: Plane | None = None
    measures: Measures | None = None
