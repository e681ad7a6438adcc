"""How often does a random mask win? Every masked picture beside the plain one of its prompt and seed.

The question behind MaskUNet (CVPR 2025), section 1: some random masks make better pictures. Here it is
counted, over the share of weights removed and over the ways to choose them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from maskunet.experiments.counted import share
from maskunet.experiments.evaluate import judge, paired
from maskunet.experiments.markdown import NO_VERDICT, interval, markdown_table, p_value
from maskunet.library.library import Loaded
from maskunet.masks.mask import window_width
from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS
from maskunet.methods.random_mask import KINDS
from maskunet.records import Request
from maskunet.seeds import of_case
from maskunet.tabletop.tasks import TASKS, Case, cases


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One way to remove weights.

    Attributes:
        kind: of the method random_mask, or "plain".
        removed: share of the weights asked for, 0 to 1.
        center: of a window, in standard deviations of each site's weights; None for the other kinds.
    """

    kind: str
    removed: float = 0.0
    center: float | None = None

    @property
    def curve(self) -> str:
        """What is the same over all ratios, in words."""
        return self.kind if self.center is None else f"{self.kind} at {self.center:+g} std"


PLAIN = Variant(kind="plain")
Job = tuple[Case, int, Variant]  # a prompt, the seed of its noise, and what to remove


def variants(kinds: Sequence[str], ratios: Sequence[float], centers: Sequence[float]) -> list[Variant]:
    """Every kind at every ratio, windows also at every center.

    Raises:
        ValueError: an unknown kind, or a ratio outside [0, 1].
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"There is no kind of mask “{kind}”. There are: {', '.join(KINDS)}.")
    for ratio in ratios:
        if not 0 <= ratio <= 1:
            raise ValueError(f"The removed ratio is {ratio:g}; allowed is 0 to 1.")
    places = {kind: tuple(centers) if kind == "window" else (None,) for kind in kinds}
    found = [Variant(kind=k, removed=r, center=c) for k in kinds for c in places[k] for r in ratios]
    return list(dict.fromkeys(found))


def subjects(tasks: str, *, n: int, seeds: int, seed: int = 1, split: str = "test") -> list[tuple[Case, int]]:
    """`n` prompts per task, each with `seeds` noise seeds; what is stopped early has seen all tasks.

    The first `seeds` of a larger study are those of a smaller one, and the first are `evaluate`'s.

    Args:
        tasks: "all" or task names with commas between them. seed: which prompts, and the first noise.

    Raises:
        ValueError: no such task.
    """
    names = list(TASKS) if tasks == "all" else dict.fromkeys(task.strip() for task in tasks.split(","))
    by_number = zip(*(cases(task, n, seed, split) for task in names), strict=True)
    drawn = [(i, case) for i, together in enumerate(by_number) for case in together]
    return [(case, of_case(seed + k, i)) for k in range(seeds) for i, case in drawn]


def jobs(
    pairs: Iterable[tuple[Case, int]], chosen: Sequence[Variant], done: Iterable[Mapping[str, Any]] = ()
) -> list[Job]:
    """The pictures still to make: of every prompt and seed the plain one, then one per variant.

    Args:
        done: rows of an earlier study; what is in them is left out.
    """
    made = {(_pair(row), _variant(row)) for row in done}
    every = ((case, seed, variant) for case, seed in pairs for variant in (PLAIN, *chosen))
    return [(case, seed, v) for case, seed, v in every if ((case.task, case.prompt, seed), v) not in made]


def study(
    loaded: Loaded,
    request: Request,
    *,
    work: Sequence[Job],
    done: Iterable[Mapping[str, Any]] = (),
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Make and judge one picture after the other.

    Args:
        loaded: the base model, with the checker if it knows its pictures.
        request: steps, guidance and negative prompt; its prompt, seed and method are replaced.
        work: see `jobs`; a plain picture comes before those that are compared with it.
        done: rows that hold the plain pictures that `work` leaves out.

    Yields:
        The row of `evaluate.judge` with kind, removed and center of the variant and `difference`, the total
        reward minus the plain picture's; and the picture, (H, W, 3) uint8.
    """
    plain = {_pair(row): row["rewards"]["total"] for row in done if _variant(row) == PLAIN}
    settings = {v: _settings(loaded.model.unet, v) for v in dict.fromkeys(v for _, _, v in work)}
    for case, seed, variant in work:
        method = SPECS["plain" if variant == PLAIN else "random_mask"]
        asked = replace(request, prompt=case.prompt, seed=seed, previews=False, method=method.name)
        chosen = method.settings("", settings[variant])
        events = list(method.run(loaded.model, loaded.rewards, asked, chosen))
        row = judge(case, seed, iter(events), loaded.checker)
        total = row["rewards"]["total"]
        if variant == PLAIN:
            plain[_pair(row)] = total
        row |= {"kind": variant.kind, "removed": variant.removed, "center": variant.center}
        yield row | {"difference": total - plain[_pair(row)]}, events[-1].image


def by_variant(values: Sequence[Any], seeds: int) -> np.ndarray:
    """Values in the order of `jobs` of one prompt as (1 + variants, seeds, ...), plain's first."""
    every = np.stack(values)
    return every.reshape(seeds, -1, *every.shape[1:]).swapaxes(0, 1)


def asked_for(
    rows: Iterable[Mapping[str, Any]], pairs: Iterable[tuple[Case, int]], chosen: Sequence[Variant]
) -> list[Mapping[str, Any]]:
    """Of a folder's rows those of these prompts, seeds and variants: it may hold more, of an earlier command."""
    of = {(case.task, case.prompt, seed) for case, seed in pairs}
    return [row for row in rows if _pair(row) in of and _variant(row) in (PLAIN, *chosen)]


def _pair(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["task"], row["prompt"], row["seed"]


def _variant(row: Mapping[str, Any]) -> Variant:
    return Variant(kind=row["kind"], removed=row["removed"], center=row["center"])


def _settings(unet: nn.Module, variant: Variant) -> dict[str, Any]:
    """What the method must be told; a window is as wide as its share of all weights needs."""
    if variant == PLAIN:
        return {}
    if variant.center is None:
        return {"kind": variant.kind, "removed": variant.removed}
    weights = (unet.get_submodule(site.name).weight.detach() for site in find_sites(unet))
    width = window_width(weights, variant.center, variant.removed)
    return {"kind": variant.kind, "center": variant.center, "width": width}


def summarize(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The plain pictures, and one line per variant with its paired comparison; 95 % intervals.

    Returns:
        plain: n, correct with low and high, reward. summary: by variant the ratio asked for and
        `measured` (mean over sites and pictures), n, `win_rate` (share whose total reward rises),
        `unchanged` (pictures of exactly the same reward), reward difference, share correct, each with its
        interval over prompts, prompts `fixed` and `broken` and the sign test's p.

    Raises:
        ValueError: no picture has been made yet.
    """
    groups: dict[Variant, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_variant(row), []).append(row)
    if PLAIN not in groups:
        raise ValueError("The study has no pictures yet; let it run longer.")
    plain = groups.pop(PLAIN)
    right = _correct(plain)
    return {
        "plain": {"n": len(plain), **right, "reward": sum(r["rewards"]["total"] for r in plain) / len(plain)},
        "summary": [_line(variant, mine, plain) for variant, mine in groups.items()],
    }


def _line(variant: Variant, mine: list[Mapping], plain: list[Mapping]) -> dict[str, Any]:
    found = paired(mine, plain)
    wins = share([row["difference"] > 0 for row in mine], [row["prompt"] for row in mine])
    return {
        "curve": variant.curve, "kind": variant.kind, "center": variant.center, "removed": variant.removed,
        "measured": 1 - sum(row["keep_ratio"] for row in mine) / len(mine), "n": len(mine),
        "win_rate": wins["value"], "win_low": wins["low"], "win_high": wins["high"],
        "unchanged": sum(row["difference"] == 0 for row in mine),
        "reward": found["reward"]["value"], "reward_low": found["reward"]["low"], "reward_high": found["reward"]["high"],
        **_correct(mine), **{name: found["correct"][name] for name in ("fixed", "broken", "p")},
    }  # fmt: skip


def _correct(rows: list[Mapping]) -> dict[str, float]:
    right = share([row["correct"] for row in rows], [row["prompt"] for row in rows])
    return {"correct": right["value"], "correct_low": right["low"], "correct_high": right["high"]}


def _judged(line: Mapping[str, Any]) -> list[str]:
    """The cells that the checker fills; empty where it knows nothing."""
    if line["correct"] is None:
        return [""] * 5
    around = interval(line["correct_low"], line["correct_high"], ".3f")
    return [f"{line['correct']:.3f}", around, f"{line['fixed']}", f"{line['broken']}", p_value(line["p"])]


def table(found: Mapping[str, Any]) -> str:
    """What `summarize` found, as a Markdown table with the plain pictures in a sentence above."""
    plain = found["plain"]
    head = [
        "mask", "asked", "removed", "n", "reward rises", "95 % interval", "reward difference", "95 % interval",
        "correct", "95 % interval", "fixed", "broken", "p",
    ]  # fmt: skip
    rows = [
        (
            x["curve"], f"{x['removed']:.2%}", f"{x['measured']:.2%}", f"{x['n']}",
            f"{x['win_rate']:.3f}", f"{x['win_low']:.3f} to {x['win_high']:.3f}",
            f"{x['reward']:+.3f}", f"{x['reward_low']:+.3f} to {x['reward_high']:+.3f}",
            *_judged(x),
        )
        for x in found["summary"]
    ]  # fmt: skip
    first = f"Plain pictures: {plain['n']}. {NO_VERDICT}"
    if plain["correct"] is not None:
        around = interval(plain["correct_low"], plain["correct_high"], ".3f")
        first = f"Plain pictures: {plain['n']}, correct {plain['correct']:.3f} (95 % {around})."
    return f"{first}\n\n{markdown_table(head, rows)}"
