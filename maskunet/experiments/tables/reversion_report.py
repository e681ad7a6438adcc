"""The table of ReVersion as Markdown and JSON, its bars beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskunet.experiments.counted import differs, told
from maskunet.experiments.markdown import markdown_table, p_value
from maskunet.experiments.tables.reversion import EXEMPLARS, ROWS, TOKEN_ROW
from maskunet.records.disk import whole

ABOVE, WITHIN = 0.15, 0.10  # set before the first measurement: of the relation above "and", of the things below it
BARRED = "same color"
HEAD = (
    "relation", "asked for by", "relation there", "both things there", "colors, bits", "against “and”", "p", "against the token",
    "p", "removed",
)  # fmt: skip

Lines = Sequence[Mapping[str, Any]]


def save(out: Path, lines: Lines, about: Mapping[str, Any]) -> None:
    """Write reversion.json and reversion.md."""
    record = {"about": dict(about), "bars": {"above": ABOVE, "within": WITHIN}, "summary": list(lines)}
    whole.write(out / "reversion.json", f"{json.dumps(record, indent=1, ensure_ascii=False)}\n")
    whole.write(out / "reversion.md", markdown(lines, about))


def markdown(lines: Lines, about: Mapping[str, Any]) -> str:
    """The verdict, what the table was made of, and the table."""
    n = lines[0]["related"]["n"]
    return "\n\n".join([
        f"# ReVersion, on {about['model']}: a word for a relation",
        verdict(lines),
        f"Made with `{about['command']}` ({about['finished']}). For each relation a word learned from {EXEMPLARS} renders of "
        f"three pairs of shapes, beginning as “and”: {_trainings(about['trainings'])} of {about['steps']} steps with each steering. "
        f"{n} pictures of each row ask for the three other pairs, with the same noise; guidance {about['guidance']:g}. The checker "
        "looks for both things, and for two such in the relation. Bits: entropy of the colors of all things, 3 at most. In "
        "parentheses 95 % intervals, the bootstrap's over different prompts where one comes twice, as for entropy and paired "
        "differences, else Wilson's; p is the sign test's over prompts.",
        markdown_table(HEAD, [_cells(line) for line in lines]),
    ]) + "\n"  # fmt: skip


def verdict(lines: Lines) -> str:
    """Sentences: which words stand for their relations, whether the bars are met, what steering and masks change."""
    tokens = [line for line in lines if line["row"] == TOKEN_ROW]
    learned = [line["relation"] for line in tokens if differs(line["against_and"]) and line["against_and"]["value"] > 0]
    n = tokens[0]["related"]["n"]
    said = f"More often than by chance the token shows: {', '.join(learned)}."
    if not learned:
        said = f"No token can be told to show its relation more often than “and” does ({n} pictures each)."
    worse = [
        line["relation"] for line in tokens if differs(found := line["entities_against_and"]) and found["value"] < 0
    ]
    said += f" It loses things at: {', '.join(worse)}." if worse else ""
    barred = next((line for line in tokens if line["relation"] == BARRED), None)
    if barred:
        gain, things = barred["against_and"]["value"], barred["entities_against_and"]["value"]
        said += (
            f" Bars, for {BARRED}: relation {gain:+.2f} above “and”, {_met(gain >= ABOVE)} ({ABOVE:+.2f}); both things "
            f"{things:+.2f}, {_met(things >= -WITHIN)} ({-WITHIN:+.2f})."
        )
    return f"{said} {_changes(lines)}"


def _changes(lines: Lines) -> str:
    moved = [
        f"{ROWS[line['row']].title} ({line['relation']})"
        for line in lines
        if line["against_token"] and differs(line["against_token"])
    ]
    rest = "No change by steering or by masks can be told."
    return f"Other than the token alone: {', '.join(moved)}." if moved else rest


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def _trainings(count: int) -> str:
    return "one training" if count == 1 else f"{count} trainings"


def _cells(line: Mapping[str, Any]) -> list[str]:
    shares = [told(line[kind]) for kind in ("related", "entities", "entropy")]
    changes = [_change(line[other]) for other in ("against_and", "against_token")]
    removed = f"{line['removed']:.3f}" if line["removed"] else ""
    return [line["relation"], ROWS[line["row"]].title, *shares, *changes[0], *changes[1], removed]


def _change(found: Mapping[str, float] | None) -> tuple[str, str]:
    return (told(found, "+"), p_value(found["p"])) if found else ("", "")
