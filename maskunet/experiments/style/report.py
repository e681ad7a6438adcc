"""Two by two: with the LoRA and without, under masks and without, and what both together do beyond the sum."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskunet.evaluation.intervals import clustered
from maskunet.experiments.markdown import markdown_table
from maskunet.experiments.style.make import STYLE
from maskunet.records.added import READINGS
from maskunet.records.disk import whole

FIGURES = {"style": f"share of {STYLE} things", "correct": "share correct"}
ACTS = dict(zip(READINGS, ("on the weights with the LoRA", "on the base's weights, the LoRA beside them"), strict=True))
Rows = Sequence[Mapping[str, Any]]


def summarize(rows: Rows, plain: str) -> list[dict[str, Any]]:
    """A line for each figure, masks and reading: four shares with intervals, and the interaction, paired by prompt.

    Args:
        plain: name of the entrant without masks.
    """
    found: dict[tuple[str, str], dict[tuple, Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["lora"], row["method"]), {})[row["task"], row["prompt"], row["seed"]] = row
    lines = []
    for method in dict.fromkeys(name for _, name in found if name != plain):
        for reading in READINGS:
            arms = [found.get(arm, {}) for arm in (("", plain), (READINGS[0], plain), ("", method), (reading, method))]
            shared = [pair for pair in arms[0] if all(pair in arm for arm in arms)]
            if shared:
                lines += [_line(arms, shared, figure, method, reading) for figure in FIGURES]
    return lines


def _line(arms: Sequence[Mapping], shared: Sequence[tuple], figure: str, method: str, reading: str) -> dict[str, Any]:
    base, lora, masks, both = ([float(arm[pair][figure]) for pair in shared] for arm in arms)
    beyond = [b - m - (w - n) for n, w, m, b in zip(base, lora, masks, both, strict=True)]
    columns, prompts = (
        {"neither": base, "lora": lora, "masks": masks, "both": both, "interaction": beyond},
        [pair[1] for pair in shared],
    )
    return {
        "masks_of": method, "acts_on": reading, "figure": figure, "n": len(shared),
        **{name: [sum(values) / len(values), *clustered(values, prompts)] for name, values in columns.items()},
    }  # fmt: skip


def markdown(lines: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """The tables as a document, with the command that makes them."""
    parts = [
        f"# A style LoRA under masks\n\nEverything {STYLE}: a LoRA of {about['lora_steps']} steps at weight 1, and masks. "
        f"Means over n held-out prompts that ask for no texture, 95 % intervals in brackets (bootstrap over prompts). "
        "Interaction: what LoRA and masks together do beyond the sum of both; nothing was chosen on these prompts.\n\n"
        f"`{about['command']}`"
    ]
    for line in lines:
        cells = {name: _said(*line[name]) for name in ("neither", "lora", "masks", "both")}
        table = markdown_table(
            [f"{FIGURES[line['figure']]}, n = {line['n']}", "no LoRA", "LoRA"],
            [("no masks", cells["neither"], cells["lora"]), ("masks", cells["masks"], cells["both"])],
        )
        title = f"## {line['masks_of']}, {ACTS[line['acts_on']]}: {FIGURES[line['figure']]}"
        parts.append(f"{title}\n\n{table}\n\nInteraction {_said(*line['interaction'], sign='+')}.")
    return "\n\n".join(parts) + "\n"


def _said(mean: float, low: float, high: float, sign: str = "") -> str:
    return f"{mean:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def save(folder: Path, lines: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """Write style.json and style.md, and return the latter."""
    text = markdown(lines, about)
    whole.write(folder / "style.json", json.dumps({"about": about, "lines": lines}, indent=1, default=str))
    whole.write(folder / "style.md", text)
    return text
