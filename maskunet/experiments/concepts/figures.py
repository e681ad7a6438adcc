"""What a concept mask does, over what the base does on the same pictures: shares, ratios, intervals, and the bars."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from maskunet.evaluation.intervals import clustered
from maskunet.experiments.concepts.subjects import right, shows, things
from maskunet.experiments.counted import change, share

Row = Mapping[str, Any]  # of a picture
Picture = tuple[str, int]
Judge = Callable[[Row], bool]
ERASED, KEPT, OTHERS = 0.25, 0.85, 0.90  # the bars: of the base's share at most, at least, at least


def picture(row: Row) -> Picture:
    """Which picture a row is of: its prompt and seed."""
    return row["prompt"], row["seed"]


def figures(attribute: str, rows: Sequence[Row], base: Mapping) -> dict[str, Any]:
    """Shown, rest and others of pictures, each with the base's, their ratio and its interval; none without pictures."""
    showing = [row for row in rows if row["group"].startswith(("showing", "open"))]
    others = [row for row in rows if row["group"] == "others"]
    asked = {
        "shown": (showing, lambda row: shows(things(row["seen"]), row["words"], attribute)),
        "rest": (showing, lambda row: right(things(row["seen"]), row["words"], without=attribute)),
        "others": (others, lambda row: right(things(row["seen"]), row["words"])),
    }
    return {key: value for name, (own, judge) in asked.items() for key, value in paired(name, own, base, judge).items()}


def paired(name: str, rows: Sequence[Row], base: Mapping[Picture, Row], judge: Judge) -> dict[str, Any]:
    """How often pictures pass a judge, over how often the base's do of the same prompts and noise.

    Args:
        name: of the share, with which the keys begin. rows: a row per picture; those that the base lacks are left out.

    Returns:
        Nothing without pictures, or these nine: NAME_n, pictures, at least 1; NAME_base and NAME, shares in [0, 1];
        NAME_low and NAME_high, the 95 % interval of NAME over prompts, in [0, 1]; NAME_ratio = NAME / NAME_base, not
        negative, with NAME_ratio_low and NAME_ratio_high, its 95 % interval by the paired bootstrap over prompts, all
        three None where no picture of the base passes; NAME_p, of the two-sided sign test over prompts that change, in
        [0, 1].
    """
    known = [row for row in rows if picture(row) in base]
    if not known:
        return {}
    after, before, prompts = (
        [judge(row) for row in known], [judge(base[picture(row)]) for row in known], [row["prompt"] for row in known]
    )  # fmt: skip
    found, ratio, spread = share(after, prompts), None, (None, None)
    if any(before):
        ratio, spread = sum(after) / sum(before), clustered(after, prompts, over=before)
    return {
        f"{name}_n": len(known), f"{name}_base": sum(before) / len(known), name: found["value"],
        f"{name}_low": found["low"], f"{name}_high": found["high"],
        f"{name}_ratio": ratio, f"{name}_ratio_low": spread[0], f"{name}_ratio_high": spread[1],
        f"{name}_p": change(after, before, prompts)["p"],
    }  # fmt: skip


def best_dose(attribute: str, doses: Mapping[float, Sequence[Row]], base: Mapping[Picture, Row]) -> float:
    """The dose whose worst figure, against its bar, is best; of equal ones the smallest."""

    def worst(dose: float) -> float:
        found = figures(attribute, doses[dose], base)
        shown, rest, others = (found.get(f"{name}_ratio") for name in ("shown", "rest", "others"))
        gone = 0.0 if shown is None else ERASED - shown  # where the base shows nothing, nothing can go
        return min(gone, (rest or 0.0) - KEPT, (others or 0.0) - OTHERS)

    return max(sorted(doses), key=worst)
