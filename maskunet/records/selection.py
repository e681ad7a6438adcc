"""Which weights are meant, as a short text that people type and the page prints.

A selection is places parted by “;”, of which later ones win where they overlap:

    block1.cross.v                  the value matrices of up block 1's cross-attention, at all steps
    block1.layer0.self.out.head2@1-5,11-   head 2 of one matrix, at steps 1 to 5 and from 11 on
    cross.q,k=0.5                   all queries and keys of cross-attention, halved
    all; block2=1                   everything but up block 2
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

import numpy as np

from maskunet.records.request import MAX_SETTING, MAX_STEPS
from maskunet.records.site_stats import ATTENTIONS, ROLES

PARTED = 3  # ranges of steps that the page and the causal map tell apart
MAX_PLACES = 100
MAX_INDEX = 99  # of a block, a layer or a head
ALLOWED = (
    "Write places such as “block1.cross.v” or “block1-2.layer0.self.q,k.head0@1-5=0.5”, parted by “;”: blocks, layers "
    "and heads from 0, self or cross, q, k, v or out, after “@” the steps from 1, after “=” the share that is kept."
)
COUNTED = ("block", "layer", "inner", "head")
NAMED = {"attentions": ATTENTIONS, "roles": ROLES}
PARTS = ("blocks", "layers", "inners", "attentions", "roles", "heads")  # in the order in which they are written
_SITE = re.compile(
    r"up_blocks\.(\d{1,2})\.attentions\.(\d{1,2})\.(?:transformer_blocks\.(\d{1,2})\.)?[\w.]*attn([12])(?:\.processor)?"
    r"\.to_(q|k|v|out)\b.*",
    re.ASCII,
)
_PLACE = re.compile(r"([^@=]*)(?:@([^@=]*))?(?:=([0-9]{0,2}(?:\.[0-9]{0,6})?))?")
_SPAN = re.compile(r"([0-9]{0,3})(-?)([0-9]{0,3})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The weights and steps that fit every attribute; an empty one fits all.

    Attributes:
        blocks, layers: up blocks and their attention layers, as the U-Net counts them, from 0.
        inners: transformer blocks within a layer, where it has several, from 0.
        attentions: of "self" and "cross". roles: of "q", "k", "v" and "out".
        heads: from 0: rows of q, k and v, columns of out.
        steps: denoising steps from 1, as the page counts them.
        kept: the share of each weight that is kept, 0 (removed) to 1.
    """

    blocks: tuple[int, ...] = ()
    layers: tuple[int, ...] = ()
    inners: tuple[int, ...] = ()
    attentions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    heads: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    kept: float = 0.0

    def __str__(self) -> str:
        """As `parse` reads it."""
        numbers = {f"{name}s": name for name in COUNTED}
        parts = [
            f"{numbers[name]}{_spans(values)}" if name in numbers else ",".join(values)
            for name in PARTS
            if (values := getattr(self, name))
        ]
        steps = f"@{_spans(self.steps, MAX_STEPS)}" if self.steps else ""
        share = f"{self.kept:.6f}".rstrip("0").rstrip(".")  # never as 1e-05, which is not read
        return (".".join(parts) or "all") + steps + (f"={share}" if self.kept else "")

    def covers(self, other: "Place") -> bool:
        """Whether it means all that the other one means."""
        return all(not mine or (theirs and {*theirs} <= {*mine}) for mine, theirs in _pairs(self, other))

    def meets(self, other: "Place") -> bool:
        """Whether both may mean some weight at some step."""
        return all(not mine or not theirs or {*mine} & {*theirs} for mine, theirs in _pairs(self, other))

    def fits(self, site: str) -> bool:
        """Whether it means weights of the site of this name, heads and steps aside."""
        return replace(self, heads=(), steps=()).covers(_within(site))


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """What there is to choose from in a base model.

    Attributes:
        sites: their names, in the U-Net's order. heads: how many attention heads each one's layer has.
    """

    sites: tuple[str, ...]
    heads: tuple[int, ...]


def thirds(steps: int) -> list[tuple[int, ...]]:
    """The steps, from 1, in three ranges as equal as can be; fewer if there are fewer steps."""
    found = [tuple((part + 1).tolist()) for part in np.array_split(np.arange(steps), PARTED)]
    return [part for part in found if part]


def _pairs(one: Place, other: Place) -> list[tuple[tuple, tuple]]:
    return [(getattr(one, name), getattr(other, name)) for name in (*PARTS, "steps")]


@lru_cache(maxsize=1024)  # asked for every click, place and site
def place_of(site: str) -> Place:
    """One site, by its name in the U-Net, such as up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v.

    Of a layer with several transformer blocks it is all of them, as the page's board and the causal map take a layer.

    Raises:
        ValueError: it is no such name.
    """
    found = _SITE.fullmatch(site)
    if not found:
        raise ValueError(f"“{site[:80]}” names no projection of an up block's attention.")
    block, layer, _, attention, role = found.groups()
    return Place(
        blocks=(int(block),), layers=(int(layer),), attentions=(ATTENTIONS[int(attention) - 1],), roles=(role,)
    )


@lru_cache(maxsize=1024)
def _within(site: str) -> Place:
    """The site's place with its transformer block."""
    return replace(place_of(site), inners=(int(_SITE.fullmatch(site)[3] or 0),))


def named(site: str, sites: Sequence[str]) -> str:
    """The text that means this site alone among these of its model.

    Raises:
        ValueError: it is no name of a site.
    """
    place = place_of(site)
    return str(place if sum(map(place.fits, sites)) < 2 else _within(site))


def parse(text: str) -> tuple[Place, ...]:
    """The places that a text names, in their order; none for an empty one.

    Raises:
        ValueError: it is no selection, or too long; says what is allowed.
    """
    if len(text) > MAX_SETTING:
        raise ValueError(f"The selection has {len(text):,} characters; allowed are {MAX_SETTING:,}.")
    written = [part for each in text.lower().split(";") if (part := "".join(each.split()))]
    if len(written) > MAX_PLACES:
        raise ValueError(f"The selection has {len(written)} places; allowed are {MAX_PLACES}.")
    return tuple(_place(each) for each in written)


def write(places: Sequence[Place]) -> str:
    """The text that `parse` reads as these places."""
    return "; ".join(map(str, places))


def _place(text: str) -> Place:
    found = _PLACE.fullmatch(text)
    if not found or not found[1]:
        raise _refused(text, text)
    where, steps, kept = found.groups()
    given: dict[str, tuple] = {}
    for part in [] if where == "all" else where.split("."):
        name, values = _part(part, text)
        if name in given:
            raise ValueError(f"“{text[:60]}” names its {name} twice; put several into one, as in “q,k” or “head0,2”.")
        given[name] = values
    if steps is not None:
        given["steps"] = _numbers(steps, 1, MAX_STEPS, text)
    share = 0.0
    if kept is not None:
        share = float(kept) if kept.strip(".") else 2.0
        if share > 1:
            raise ValueError(f"“={kept}” in “{text[:60]}” is no share that is kept; allowed is 0 to 1.")
    return Place(**given, kept=share)


def _part(part: str, text: str) -> tuple[str, tuple]:
    """The attribute that a part is about, and its values in their usual order."""
    for name in COUNTED:
        if part.startswith(name):
            return f"{name}s", _numbers(part.removeprefix(name).replace(f",{name}", ","), 0, MAX_INDEX, text)
    words = part.split(",")
    for name, known in NAMED.items():
        if {*words} <= {*known}:
            return name, tuple(word for word in known if word in words)
    raise _refused(part, text)


def _numbers(text: str, low: int, high: int, whole: str) -> tuple[int, ...]:
    """The numbers of spans such as 1-5,8,11-: with an open end from the lowest, or to the highest."""
    found: set[int] = set()
    for span in text.split(","):
        match = _SPAN.fullmatch(span)
        first, dash, last = match.groups() if match else ("", "", "")
        if not (first or last):
            raise _refused(text, whole)
        begin, end = int(first or low), int(last) if last else high if dash else int(first)
        if not low <= begin <= end <= high:
            raise ValueError(f"“{span}” in “{whole[:60]}” does not count from {low} to {high} upwards.")
        found.update(range(begin, end + 1))
    return tuple(sorted(found))


def _refused(part: str, text: str) -> ValueError:
    inside = "" if part == text else f" in “{text[:60]}”"
    return ValueError(f"“{part[:60]}”{inside} says no place in the network. {ALLOWED}")


def _spans(numbers: Sequence[int], high: int | None = None) -> str:
    """Numbers as `_numbers` reads them."""
    spans = []
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        values = [number for _, number in run]
        begin, end = values[0], values[-1]
        spans.append(f"{begin}" if begin == end else f"{begin}-" if end == high else f"{begin}-{end}")
    return ",".join(spans)


def simplified(places: Sequence[Place]) -> tuple[Place, ...]:
    """Fewer places that mean the same, for a text that clicks have put together."""
    found = list(places)
    found = [one for i, one in enumerate(found) if not any(later.covers(one) for later in found[i + 1 :])]
    found = [one for i, one in enumerate(found) if one.kept < 1 or any(each.meets(one) for each in found[:i])]
    while pair := _joined(found):
        first, second, both = pair
        found[first] = both
        del found[second]
    return tuple(found)


def _joined(places: Sequence[Place]) -> tuple[int, int, Place] | None:
    """Two places that differ in one attribute, and both as one, in the place of the first."""
    for j, second in enumerate(places):
        for i in range(j - 1, -1, -1):
            first = places[i]
            differ = [name for name in (*PARTS, "steps") if getattr(first, name) != getattr(second, name)]
            if first.kept == second.kept and len(differ) == 1:
                one, other = getattr(first, differ[0]), getattr(second, differ[0])
                if one and other:
                    known = NAMED.get(differ[0])
                    both = sorted({*one, *other}, key=known.index if known else None)
                    return i, j, replace(first, **{differ[0]: tuple(both)})
            if first.meets(second):  # it must stay behind this one
                break
    return None


def kept(places: Sequence[Place], sites: Sequence[str], heads: Sequence[int], steps: int) -> np.ndarray:
    """The share of its weights that each head of each site keeps at each step.

    Args:
        sites: S names. heads: of each site. steps: T, of the picture.

    Returns:
        (T, S, H) float64, H the most heads that a site has; what lies above a site's own number means nothing.

    Raises:
        ValueError: a place means nothing in this model or picture; says what there is.
    """
    shares = np.ones((steps, len(sites), max(heads)))
    for place in places:
        rows = [s for s, name in enumerate(sites) if place.fits(name)]
        columns = [h for h in (place.heads or range(max(heads))) if any(h < heads[s] for s in rows)]
        times = [step - 1 for step in (place.steps or range(1, steps + 1)) if step <= steps]
        if not rows or not columns or not times:
            raise ValueError(f"“{place}” means nothing here. {offered(sites, heads, steps)}")
        shares[np.ix_(times, rows, columns)] = place.kept
    return shares


def offered(sites: Sequence[str], heads: Sequence[int], steps: int) -> str:
    """What there is to choose from, in a sentence."""
    places = [place_of(name) for name in sites]
    blocks = sorted({place.blocks[0] for place in places})
    each = "; ".join(
        f"block{block} has layer{_spans(sorted({p.layers[0] for p in places if p.blocks[0] == block}))} with "
        f"{_inside(sites, block)}"
        f"head{_spans(range(max(n for n, p in zip(heads, places, strict=True) if p.blocks[0] == block)))}"
        for block in blocks
    )
    return f"In this model {each}; there are steps 1 to {steps}."


def _inside(sites: Sequence[str], block: int) -> str:
    """The transformer blocks in a block's layers, where some have several."""
    inners = sorted({place.inners[0] for place in map(_within, sites) if place.blocks[0] == block})
    return f"inner{_spans(inners)}, " if len(inners) > 1 else ""
