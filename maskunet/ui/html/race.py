"""What the Race tab shows of a race that was run before: curves, a table, every method's picture of a prompt."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskunet.records import Card
from maskunet.records.disk.shipped import shipped
from maskunet.ui import race_words, words
from maskunet.ui.html import copy_button, pictures, plots
from visualize.race import flat, places, table

# By the base that was raced on; the one that the page opens with is the first.
FOLDERS = {"tabletop_web": shipped("docs/results/race/tabletop_web"), "tabletop": shipped("docs/results/race")}
CLASSES, UNKNOWN = ("a", "all", "b", "image"), "all"  # by the place of an entrant's kind in the report
Titles = Mapping[str, str]


@lru_cache(maxsize=4)
def read(folder: Path) -> Mapping[str, Any] | None:
    """A race's report, or None if none has been run."""
    try:
        return json.loads((folder / "race.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def shipped_races() -> dict[str, Mapping[str, Any]]:
    """The report of each race that comes with the project, by its base."""
    found = {base: read(folder) for base, folder in FOLDERS.items()}
    return {base: report for base, report in found.items() if report is not None}


def complete(found: Mapping[str, Any], methods: Iterable[Card]) -> Mapping[str, Any]:
    """A race of before entrants had a kind, with those of the methods that are still here."""
    if "kinds" in found:
        return found
    known = {card.name: card.kind for card in methods}

    def lines(budget: str) -> list[dict[str, Any]]:
        return [{**line, "kind": known.get(race_words.method(line["entrant"]), "")} for line in found[budget]]

    kinds = list(dict.fromkeys(known.values()))
    return {**found, "kinds": kinds, **{budget: lines(budget) for budget in race_words.BUDGETS}}


def _look(place: int | None) -> str:
    return UNKNOWN if place is None else CLASSES[place % len(CLASSES)]


def said(found: Mapping[str, Any], titles: Titles) -> str:
    """What was raced, what came out, and by which command."""
    about = found["about"]
    sentence = race_words.said(
        found["prompts"],
        found.get("different", found["prompts"]),
        about["asked"],
        found["seconds"],
        titles.get(found["optimized"], found["optimized"]),
        titles.get(found["held_out"], found["held_out"]),
    )
    badge = f'<span class="badge">{words.PRECOMPUTED}</span>'
    return (
        f'<h3>{race_words.TITLE}</h3><p class="verdict">{escape(verdict(found, titles))}</p>'
        f'<p class="said">{badge} {escape(sentence)}</p>'
        f"{copy_button.button(about['command'], race_words.COMMAND)}"
    )


def verdict(found: Mapping[str, Any], titles: Titles) -> str:
    """From the paired 95 % intervals of the share correct at equal time, and from Holm's p where the race has it."""
    pairs = [
        (race_words.entrant(line["entrant"], titles), line["against"]["plain"])
        for line in found["equal_time"]
        if line["group"] == "all" and "plain" in line["against"] and not line["over_budget"]
    ]
    # Among many lines some are small by chance.
    clear = [(name, gain) for name, gain in pairs if gain.get("p_holm", 0) < 0.05]
    better = [name for name, gain in clear if gain["correct_low"] > 0]
    worse = [name for name, gain in clear if gain["correct_high"] < 0]
    name, most = max(pairs, key=lambda pair: pair[1]["correct"], default=("", {}))
    largest = (name, *(most[f"correct{end}"] for end in ("", "_low", "_high"))) if most else None
    return race_words.verdict(better, worse, largest, found["prompts"])


def curves(found: Mapping[str, Any], titles: Titles) -> str:
    """The share correct and the held-out reward over the seconds spent."""
    rows, held_out = table(found), found["held_out"]
    panels = (
        ("correct", race_words.SHARE, plots.percent),
        (held_out, f"{titles.get(held_out, held_out)}, {race_words.HELD}", plots.number),
    )
    drawn = "".join(_panel(found, titles, rows, *panel) for panel in panels)
    switch = "".join(
        f'<label><input type="radio" name="race-shown"{"" if n else " checked"}>{escape(label.capitalize() if n == 0 else label)}</label>'
        for n, (_, label, _) in enumerate(panels)
    )
    names = [(kind, race_words.KINDS.get(kind, kind), _look(place)) for place, kind in enumerate(found["kinds"])]
    return f'<div class="switch">{switch}</div>{plots.legend(names)}<div class="shown">{drawn}</div>'


def share(found: Mapping[str, Any], titles: Titles) -> str:
    """The curve of the share correct alone."""
    return _panel(found, titles, table(found), "correct", race_words.SHARE, plots.percent)


def _panel(found: Mapping[str, Any], titles: Titles, rows: plots.Rows, what: str, label: str, ys: Any) -> str:
    kinds = places(found)
    named = [
        (
            race_words.entrant(name, titles),
            _look(kinds[name]),
            [(p["seconds"], p[what], p[f"{what}_low"], p[f"{what}_high"]) for p in points],
        )
        for name, points in found["curves"].items()
    ]
    drawn = plots.curves(named, xlabel=race_words.SECONDS, ylabel=label, mark=found["seconds"], ys=ys)
    return plots.framed("", drawn, rows, f"race_{what}")


def lines(found: Mapping[str, Any], budget: str, group: str, titles: Titles) -> str:
    """The table of a budget and a group of tasks, the most correct method first."""
    mine = [line for line in found[budget] if line["group"] == group]
    mine.sort(key=lambda line: (-line["correct"], -line[found["held_out"]]))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in race_words.HEAD)
    kinds = places(found)
    body = "".join(_line(line, found, titles, _look(kinds[line["entrant"]])) for line in mine)
    title = f"{race_words.TABLE}, n = {mine[0]['n']}"
    csv = [flat(line) for line in mine]
    inside = f'<div class="wide" tabindex="0"><table class="race"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    hint = " ".join([race_words.HINT, *[race_words.OVER_HINT] * any(line["over_budget"] for line in mine)])
    return plots.framed(title, inside, csv, f"race_{budget}_{group}", hint)


def _line(line: Mapping[str, Any], found: Mapping[str, Any], titles: Titles, look: str) -> str:
    plain, held_out = line["against"].get("plain"), found["held_out"]
    name = escape(race_words.entrant(line["entrant"], titles))
    over = f' <span class="badge warn">{race_words.OVER}</span>' if line["over_budget"] else ""
    among = f"{100 * line['any_correct']:.0f} %" if "any_correct" in line else ""
    against = ["", "", "", "", ""]
    if plain is not None:
        against = [
            _interval(plain, "correct", 100, "+.0f"),
            f"{plain['fixed']} / {plain['broken']}",
            f"{plain['p']:.2g}",
            f"{plain['p_holm']:.2g}" if "p_holm" in plain else "",
            _interval(plain, held_out, 1, "+.3f"),
        ]
    cells = [
        _interval(line, "correct", 100, ".0f"), among, *against[:4], f"{line[found['optimized']]:.2f}",
        f"{line[held_out]:.3f}", against[4], f"{line['pictures']:.1f}", f"{line['seconds']:.1f}",
        f"{line['unet_calls']:.0f}",
    ]  # fmt: skip
    body = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr class="{look}"><th scope="row">{name}{over}</th>{body}</tr>'


def _interval(found: Mapping[str, Any], what: str, factor: float, kind: str) -> str:
    """A value with its interval below it; shares in percent, their differences in points."""
    value, low, high = (factor * found[f"{what}{end}"] for end in ("", "_low", "_high"))
    unit = " %" if factor == 100 and "+" not in kind else ""
    return f"{value:{kind}}{unit} <small>[{low:{kind}}, {high:{kind}}]</small>"


def sheet(found: Mapping[str, Any], number: int, titles: Titles, folder: Path) -> str:
    """Every entrant's chosen picture of a prompt, with the checker's verdict and the held-out reward."""
    each = next(shown for shown in found["shown"] if shown["number"] == number)
    side_by_side = np.asarray(Image.open(folder / "shown" / f"{number:04d}.webp").convert("RGB"))
    images = np.split(side_by_side, len(each["lanes"]), axis=1)
    held_out = found["held_out"]
    drawn = ""
    for lane, image in zip(each["lanes"], images, strict=True):
        mark = '<b class="right">✓</b>' if lane["correct"] else '<b class="wrong">✗</b>'
        name = race_words.entrant(lane["entrant"], titles)
        alt = escape(f"{name}: {each['prompt']}", quote=True)
        drawn += (
            f'<figure><img {pictures.ZOOM} src="{pictures.uri(image)}" alt="{alt}"><figcaption>{mark} {escape(name)}'
            f"<small>{race_words.lane(lane['rewards'][held_out], lane['pictures'])}</small>"
            "</figcaption></figure>"
        )
    hint = escape(race_words.pictures_hint(titles.get(held_out, held_out)))
    return f'<div class="lanes">{drawn}</div><p class="hint">{hint}</p>'
