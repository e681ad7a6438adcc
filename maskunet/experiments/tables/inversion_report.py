"""The table of textual inversion as Markdown and JSON, its bars beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskunet.experiments.counted import differs, told
from maskunet.experiments.markdown import markdown_table, p_value
from maskunet.experiments.tables.inversion import ROWS
from maskunet.records.disk import whole

BARS = {"closed": 0.90, "subject": 0.65, "other": 0.90}  # set before the first measurement
HEAD = (
    "asked for by",
    "subject",
    "with its texture",
    "other thing right",
    "swallowed",
    "against the token",
    "p",
    "removed",
)


def save(out: Path, lines: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write inversion.json and inversion.md."""
    record = {"about": about, "bars": BARS, "summary": list(lines)}
    whole.write(out / "inversion.json", f"{json.dumps(record, indent=1, ensure_ascii=False)}\n")
    whole.write(out / "inversion.md", markdown(lines, about))


def markdown(lines: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """The table, what it was made of, and whether the bars are met."""
    (token,) = (line for line in lines if line["row"] == "token")
    gaps = [f"{told(gap)} ({gap['n']} renders)" for gap in about["closed"]]
    least = min(gap["value"] for gap in about["closed"])
    met = [
        _bar("share of the gap closed, the worst training", least, BARS["closed"]),
        _bar("subject", token["subject"]["value"], BARS["subject"]),
        _bar("other thing right", token["other"]["value"], BARS["other"]),
    ]
    return "\n\n".join([
        f"# Textual inversion, on {about['model']}",
        f"Made with `{about['command']}`. A word learned “{about['subject']}” from five renders, beginning as "
        f"“{about['begin']}”: {_trainings(about['trainings'])} of {about['steps']} steps. {token['subject']['n']} pictures of the token, "
        f"{token['other']['n']} of them with another thing; guidance {about['guidance']:g}. The checker looks for the subject's "
        "color and shape, and for its texture apart. Swallowed: no subject, and two things of the other one's color. In parentheses "
        "95 % intervals, the bootstrap's over different prompts where one comes twice, as of the paired difference, else Wilson's; p "
        "is the sign test's over prompts.",
        markdown_table(HEAD, [_cells(line) for line in lines]),
        f"Share of the gap in loss between the class word and the words that the token closes on fresh renders, training by "
        f"training: {'; '.join(gaps)}. Its intervals resample renders.",
        f"Bars: {'; '.join(met)}. Masks have none: {_verdict(lines)}",
    ]) + "\n"  # fmt: skip


def _trainings(count: int) -> str:
    return "one training" if count == 1 else f"{count} trainings"


def _verdict(lines: Sequence[Mapping[str, Any]]) -> str:
    """Which masks, if any, changed how often the subject is there."""
    masked = [line for line in lines if line["against_token"]]
    changed = [line for line in masked if differs(line["against_token"])]
    if not changed:
        return "no row of them differs from the token alone."
    return f"{' and '.join(ROWS[line['row']].title for line in changed)} differ from the token alone."


def _bar(what: str, value: float, bar: float) -> str:
    return f"{what} {value:.2f}, {'met' if value >= bar else 'missed'} ({bar:.2f})"


def _cells(line: Mapping[str, Any]) -> list[str]:
    shares = [told(line[kind]) for kind in ("subject", "textured", "other", "swallowed")]
    gain = line["against_token"]
    against = [told(gain, "+"), p_value(gain["p"])] if gain else ["", ""]
    return [ROWS[line["row"]].title, *shares, *against, f"{line['removed']:.3f}" if line["removed"] else ""]
