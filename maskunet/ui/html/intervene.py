"""What the Intervene tab shows: the board of the network's parts, the pair, and what was tried; all text is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from math import sqrt
from typing import Any

import numpy as np

from maskunet.records import Run
from maskunet.records.causal_map import CausalMap
from maskunet.records.selection import Network, Place, kept, place_of, thirds
from maskunet.ui import intervene_words as words
from maskunet.ui.html import pictures

THUMB = 96  # pixels
LOOKS = {0.0: "out", 0.5: "half", 1.0: "", None: "partly"}


class Board:
    """The parts of a network as buttons: a row per attention layer, its four matrices by ranges of steps, its heads.

    Args:
        places: what is out. steps: of the picture. known: what the parts do, where it was measured.
    """

    def __init__(self, network: Network, places: Sequence[Place], steps: int, known: CausalMap | None):
        self.network, self.steps, self.known = network, steps, known
        self.ranges = thirds(steps)
        self.shares = kept(places, network.sites, network.heads, steps)
        self.sites = [place_of(name) for name in network.sites]

    def state(self, place: Place) -> float | None:
        """The share that is kept of a place: 0, a half or 1; None where its parts differ."""
        rows = [s for s, site in enumerate(self.sites) if replace(place, heads=(), steps=()).covers(site)]
        times = [step - 1 for step in place.steps or range(1, self.steps + 1) if step <= self.steps]
        heads = self.network.heads
        columns = [[h for h in place.heads or range(heads[s]) if h < heads[s]] for s in rows]
        found = {
            float(share)
            for s, own in zip(rows, columns, strict=True)
            for share in np.unique(self.shares[np.ix_(times, [s], own)])
        }
        return found.pop() if len(found) == 1 and found <= {*LOOKS} else None

    def html(self) -> str:
        """The whole board."""
        rows, block = [], None
        for layer in dict.fromkeys(replace(site, roles=()) for site in self.sites):
            if layer.blocks != block:
                block = layer.blocks
                title = self._button(Place(blocks=block), f"Up block {block[0]}", "block", 0)
                top = f'<div class="row top" role="row">{title}{"" if rows else self._head()}</div>'
                rows += [top] if rows else [top, self._steps()]
            rows.append(self._row(layer))
        return (
            f'<div class="scale">{self._legend()}<output aria-live="polite">{words.HINT}</output></div>'
            f'<div class="scrolls"><div class="board" role="grid" aria-label="{words.BOARD}" '
            f'style="--ranges:{len(self.ranges)};--heads:{max(self.network.heads)}">{"".join(rows)}</div></div>'
        )

    def _legend(self) -> str:
        if self.known is None:
            return f"<span>{words.NO_MAP}</span>"
        n = max(cell["n"] for cell in self.known.cells.values())
        return f"<em></em><span>{words.legend(self.known.most, n)}</span>"

    def _head(self) -> str:
        names = "".join(f'<span class="of" role="columnheader">{escape(name)}</span>' for name in words.NAMES.values())
        return f'{names}<span class="of" role="columnheader">{words.HEADS}</span>'

    def _steps(self) -> str:
        """The first step of every range, for the eye alone: each button says its own."""
        ticks = "".join(f"<span>{steps[0]}</span>" for steps in self.ranges)
        columns = f'<span class="of"><span></span>{ticks}</span>' * len(words.NAMES)
        return f'<div class="row steps" aria-hidden="true"><span>{words.FROM_STEP}</span>{columns}<span class="of"></span></div>'

    def _row(self, layer: Place) -> str:
        name = f"{layer.attentions[0]}, layer {layer.layers[0]}"
        cells = [self._button(layer, name, "layer", 0)]
        for r, role in enumerate(words.NAMES):
            site = replace(layer, roles=(role,))
            column = 1 + r * (1 + len(self.ranges))
            inside = self._button(site, role, "site", column)
            inside += "".join(
                self._button(replace(site, steps=steps), "", "cell", column + 1 + i)
                for i, steps in enumerate(self.ranges)
            )
            cells.append(f'<span class="of">{inside}</span>')
        first = 1 + len(words.NAMES) * (1 + len(self.ranges))
        heads = max(n for n, site in zip(self.network.heads, self.sites, strict=True) if layer.covers(site))
        each = (self._button(replace(layer, heads=(h,)), f"{h}", "head", first + h) for h in range(heads))
        cells.append(f'<span class="of">{"".join(each)}</span>')
        return f'<div class="row" role="row">{"".join(cells)}</div>'

    def _button(self, place: Place, text: str, kind: str, column: int) -> str:
        state = self.state(place)
        cell = self.known.at(place) if self.known else None
        said = f"{words.where(place, self.steps)}: {words.STATES[state]}"
        said += f"; {words.effect(cell)}" if cell else ""
        shade = f' style="--v:{sqrt(cell["distance"] / (self.known.most or 1)):.3f}"' if cell and kind == "cell" else ""
        return (
            f'<button type="button" role="gridcell" class="{kind} {LOOKS[state]}" data-what="{place}" data-column="{column}" '
            f'tabindex="-1" aria-label="{escape(said, quote=True)}"{shade}>{escape(text)}</button>'
        )


def pair(run: Run, under: str, titles: Mapping[str, str]) -> str:
    """The plain picture and the one without what is out, each with its verdict and rewards."""
    result = _figure(run, run.result_image, under, run.verdict, _rewards(run.rewards, run.base_rewards, titles))
    return f'<div class="pair">{_unmasked(run, titles)}{result}</div>'


def inviting(run: Run | None, titles: Mapping[str, str]) -> str:
    """The place of the pair before anything is out: beside the plain picture, where there is one, what to do."""
    plain = '<figure><div class="blank"></div></figure>' if run is None else _unmasked(run, titles)
    return f'<div class="pair">{plain}<figure><div class="blank hint">{words.EMPTY}</div></figure></div>'


def _unmasked(run: Run, titles: Mapping[str, str]) -> str:
    image = run.base_image if run.base_image is not None else run.result_image
    return _figure(run, image, words.PLAIN, run.base_verdict, _rewards(run.base_rewards, {}, titles))


def _figure(run: Run, image: np.ndarray, name: str, verdict: Mapping[str, Any], rewards: str) -> str:
    shown = escape(f"{name}: {run.request.prompt}", quote=True)
    return (
        f'<figure><img src="{pictures.uri(image, 512, "png")}" alt="{shown}">'
        f"<figcaption><b>{escape(name)}</b>{_verdict(verdict)}{rewards}</figcaption></figure>"
    )


def _verdict(verdict: Mapping[str, Any]) -> str:
    if verdict.get("right") is None:
        return ""
    mark = '<b class="right">✓</b>' if verdict["right"] else '<b class="wrong">✗</b>'
    return f"<small>{mark} {escape(str(verdict.get('saw', '')))}</small>"


def _rewards(rewards: Mapping[str, float], before: Mapping[str, float], titles: Mapping[str, str]) -> str:
    """The total with its change; the others are told on hover."""
    if "total" not in rewards:
        return ""
    parts = ", ".join(f"{titles.get(name, name)} {value:.2f}" for name, value in rewards.items() if name != "total")
    change = f" ({words.signed(rewards['total'] - before['total'])})" if "total" in before else ""
    return f'<small title="{escape(parts, quote=True)}">reward {rewards["total"]:.2f}{change}</small>'


def thumb(run: Run) -> str:
    """A small picture for the list of what was tried."""
    return pictures.uri(run.result_image, THUMB)


def tried(found: Sequence[Any], now: str) -> str:
    """What was tried on this page (`interventions.Tried`), the newest first; `now` is the run that is shown."""
    if not found:
        return ""
    cards = "".join(
        f'<button type="button" data-run="{each.run}"{" aria-current=true" if each.run == now else ""}>'
        f'<img src="{each.picture}" alt=""><span>{escape(each.wish.said())}</span><small>{each.gain}</small></button>'
        for each in reversed(found)
    )
    return f'<h4>{words.TRIED}</h4><div class="tried">{cards}</div>'


def nothing(why: str) -> str:
    """In place of the board, where there is nothing to take out."""
    return pictures.empty(why)
