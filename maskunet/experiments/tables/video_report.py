"""The table of videos as Markdown and JSON, with whether the bars are reached."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskunet.experiments.markdown import markdown_table
from maskunet.experiments.tables.video import ABOVE, INDEPENDENT, KEPT, MOST, PLAIN, TITLE
from maskunet.records.disk import whole

Lines = Sequence[Mapping[str, Any]]
HEAD = (
    "video", "identity", "above independent seeds", "against plain", "as many things", "motion, of what is asked",
    "appearance", "right", "removed", "U-Net calls", "seconds",
)  # fmt: skip


def save(out: Path, lines: Lines, tasks: Lines, about: Mapping[str, Any]) -> None:
    """Write video.json and video.md."""
    record = {"about": {**about, "title": TITLE}, "summary": list(lines), "by_task": list(tasks)}
    whole.write(out / "video.json", f"{json.dumps(record, indent=1, ensure_ascii=False)}\n")
    whole.write(out / "video.md", markdown(lines, tasks, about))


def markdown(lines: Lines, tasks: Lines, about: Mapping[str, Any]) -> str:
    """The table, what it was made of, and a plain verdict.

    Args:
        lines: of `video.summarize`. tasks: of `video.by_task`.
    """
    plain, training = next(line for line in lines if line["row"] == PLAIN), about["split"] == "train"
    where = " where a row does not say others; training prompts" if training else ""
    return "\n\n".join([
        f"# {TITLE}, on {about['model']}",
        f"Made with `{about['command']}`. {plain['identity']['n']} videos of {about['frames']} frames in each row "
        f"({about['finished']}), of the same prompts and noise; guidance {about['guidance']:g}, t0 {about['t0']}, t1 "
        f"{about['t1']}{where}. The checker, which no method optimizes, reads every frame. In parentheses 95 % intervals, by the "
        "bootstrap over prompts; differences are paired.",
        markdown_table(HEAD, map(_cells, lines)),
        "**Identity**: share of the frames after the first whose things have the first frame's colors and shapes. "
        "**Motion**: the slope of things that are alone of their kind, where the checker finds them in four frames or "
        f"more, over the {plain['asked']:.2%} of the picture that were asked for in a frame; where none was asked for, in "
        "percent of the picture. **Appearance**: how much the color around their middle changes from frame to frame, "
        "of 255 levels. **Right**: share of frames that show what is asked.",
        _chosen(lines) if training else _verdict(plain),
        "Identity by task. Where a prompt names every color and shape, independent seeds keep them too; what a video keeps shows "
        "where it leaves them open.",
        markdown_table(("task", PLAIN, INDEPENDENT, "difference", "n"), map(_of_task, tasks)),
    ]) + "\n"  # fmt: skip


def _verdict(plain: Mapping[str, Any]) -> str:
    kept, above = plain["identity"]["value"], plain["against"][INDEPENDENT]["value"]
    reached = kept >= KEPT and above >= ABOVE
    return (
        f"The plain video was meant to keep identity in {KEPT:.2f} of its frames and {ABOVE:.2f} above independent seeds: "
        f"{kept:.2f} and {above:+.2f}, {'reached' if reached else 'not reached'}."
    )


def _chosen(lines: Lines) -> str:
    """The earliest times that keep not clearly less than the best do."""
    times = [line for line in lines if line["row"] not in (PLAIN, INDEPENDENT)]
    best = max(times, key=lambda line: line["identity"]["value"])
    first = next(
        (line for line in times if line["against"][MOST]["high"] >= 0), best
    )  # where a still picture keeps more
    return (
        f"Most identity is kept with {best['row']}: {best['identity']['value']:.2f}. The earliest times that keep not clearly "
        f"less are {first['row']}: {first['identity']['value']:.2f}, by {_with(first['against'][MOST], '+.2f')}."
    )


def _of_task(line: Mapping[str, Any]) -> list[str]:
    identities = [_with(line[name], ".2f") for name in (PLAIN, INDEPENDENT)]
    return [line["task"], *identities, _with(line["difference"], "+.2f"), str(line["difference"]["n"])]


def _cells(line: Mapping[str, Any]) -> list[str]:
    against = ["" if line["row"] == other else _with(line["against"][other], "+.2f") for other in (INDEPENDENT, PLAIN)]
    motion, asked = line["motion"], line["asked"]
    scaled = {k: v if v is None or k == "n" else v / (asked or 0.01) for k, v in motion.items()}
    moved = f"{_with(scaled, '.2f' if asked else '+.2f')}{'' if asked or not motion['n'] else ' %'}, n {motion['n']}"
    return [
        line["row"], _with(line["identity"], ".2f"), *against, _with(line["count"], ".2f"), moved,
        _with(line["appearance"], ".1f"), _with(line["right"], ".2f"), f"{line['removed']:.2%}",
        f"{line['calls']:.0f}", f"{line['seconds']:.1f}",
    ]  # fmt: skip


def _with(found: Mapping[str, Any], how: str) -> str:
    if found["value"] is None:
        return "–"
    return f"{found['value']:{how}} ({found['low']:{how}} to {found['high']:{how}})"
