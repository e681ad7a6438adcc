"""Tables 2 and 3, semantic binding: the same prompts and noise under every method, judged by the checker.

They train nothing. On tabletop each of the paper's tasks has a twin; what stands in the paper is in
`maskunet.evaluation.benchmarks`, with how its figures were made.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from maskunet.evaluation.benchmarks import SPECS as BENCHMARKS
from maskunet.evaluation.intervals import clustered, wilson
from maskunet.experiments.counted import change, share
from maskunet.experiments.evaluate import judge
from maskunet.library.library import Loaded
from maskunet.records import Request
from maskunet.runs.entrant import Entrant, entrant
from maskunet.tabletop.tasks import Case

OVERALL = "overall"
PLAIN = "plain"
SOLVER = {
    "second_order": True
}  # of all rows, so that the mask is the difference; published masks are sampled by the first
# A method with its preset, and what the paper calls it. The random mask is no row of the paper but a control.
ROWS = {
    PLAIN: "SD 1.5",
    "random_mask": "",
    "syngen/gentle": "SynGen",
    "attend_and_excite/gentle": "Attend-and-Excite, 50 steps",
    "maskunet_free/official": "MaskUNet",
    "syngen_maskunet/gentle": "SynGen+MaskUNet",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BindingTable:
    """One of the two tables.

    Attributes:
        benchmark: whose figures the paper prints.
        tasks: the tabletop twin of each of the benchmark's tasks.
        missing: the paper's rows without a twin, and why.
    """

    title: str
    source: str
    benchmark: str
    tasks: Mapping[str, str]
    missing: str = ""

    def rows(self) -> dict[str, str]:
        """The methods with the paper's names, without those that this table of the paper lacks."""
        published = BENCHMARKS[self.benchmark].published
        return {name: paper for name, paper in ROWS.items() if not paper or paper in published}

    def paper(self) -> Mapping[str, Mapping[str, float]]:
        """The paper's figures by its own rows and the benchmark's tasks."""
        published = BENCHMARKS[self.benchmark].published
        return {name: figures for name, figures in published.items() if not name.startswith("GenEval's")}


TABLES = {
    "2": BindingTable(
        title="Table 2: semantic binding, T2I-CompBench",
        source="MaskUNet (CVPR 2025), Table 2",
        benchmark="blip_vqa",
        tasks={"color": "color_attribution", "texture": "texture_attribution", "shape": "two"},
        missing="The paper’s SD 2.0 has no twin: there is one tabletop model.",
    ),
    "3": BindingTable(
        title="Table 3: semantic binding, GenEval",
        source="MaskUNet (CVPR 2025), Table 3",
        benchmark="geneval",
        tasks={
            "single_object": "single",
            "two_object": "two",
            "counting": "counting",
            "colors": "colors",
            "position": "position",
            "color_attr": "color_attribution",
        },
    ),
}


def make(
    loaded: Loaded,
    asked: Request,
    names: Sequence[str],
    subjects: Sequence[tuple[Case, int]],
    done: Sequence[Mapping[str, Any]] = (),
    should_stop: Callable[[], str] = str,
) -> Iterator[dict[str, Any]]:
    """Make and judge what is missing: all methods of a prompt and seed before the next.

    Args:
        loaded: the base model, with the checker.
        asked: model, steps and guidance; the rest is replaced. names: methods of ROWS.
        subjects: prompts with their seeds. done: rows of an earlier run.

    Yields:
        The row of `evaluate.judge` with the method's name as `row`.
    """
    ways = [entrant(name) for name in names]
    made = {(row["row"], row["prompt"], row["seed"]) for row in done}
    for case, seed in subjects:
        for way in ways:
            if should_stop():
                return
            if (way.name, case.prompt, seed) not in made:
                yield _row(loaded, asked, way, case, seed)


def _row(loaded: Loaded, asked: Request, way: Entrant, case: Case, seed: int) -> dict[str, Any]:
    request = replace(way.request(asked), prompt=case.prompt, seed=seed)
    events = way.spec.run(loaded.model, loaded.rewards, request, way.spec.settings(way.preset, SOLVER))
    return judge(case, seed, events, loaded.checker) | {"row": way.name}


def summarize(table: BindingTable, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line per method over the pictures that all methods have.

    Returns:
        For each, `tasks`: by the benchmark's task and for OVERALL the share correct with its 95 % interval
        over prompts (overall of the mean over tasks) and n; `against`, the paired difference from plain over all
        pictures with its interval, prompts fixed and broken and the sign test's p; seconds and calls, means; the paper's figures.

    Raises:
        ValueError: no prompt is finished.
    """
    names = list(table.rows())
    by_row = {name: {_key(row): row for row in rows if row["row"] == name} for name in names}
    common = [key for key in by_row[PLAIN] if all(key in found for found in by_row.values())]
    common = [key for key in common if key[0] in table.tasks.values()]
    if not {key[0] for key in common} >= set(table.tasks.values()):
        raise ValueError("Not every task has a picture of every method yet; let it run longer.")
    lines = []
    for name in names:
        mine = [by_row[name][key] for key in common]
        lines.append(
            {
                "row": name,
                "paper": dict(table.paper().get(table.rows()[name], {})),
                "tasks": _shares(table, mine),
                "against": _against(mine, [by_row[PLAIN][key] for key in common]),
                "seconds": sum(row["seconds"] for row in mine) / len(mine),
                "calls": sum(row["unet_calls"] for row in mine) / len(mine),
            }
        )
    return lines


def _key(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["task"], row["prompt"], row["seed"]


def _shares(table: BindingTable, rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    found, weighted, prompts = {}, [], []
    for title, task in table.tasks.items():
        mine = [row for row in rows if row["task"] == task]
        right = [bool(row["correct"]) for row in mine]
        found[title] = share(right, [row["prompt"] for row in mine])
        # Each task counts the same in the overall, however many pictures it has.
        weighted += [value * len(rows) / len(right) / len(table.tasks) for value in right]
        prompts += [row["prompt"] for row in mine]
    value, different = sum(weighted) / len(rows), len(set(prompts))
    alike = len({bool(row["correct"]) for row in rows}) == 1  # of which a bootstrap has no width
    low, high = wilson(round(value * different), different) if alike else clustered(weighted, prompts)
    found[OVERALL] = {"value": value, "low": low, "high": high, "n": len(rows)}
    return found


def _against(mine: Sequence[Mapping[str, Any]], plain: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return change(*([row["correct"] for row in rows] for rows in (mine, plain)), [row["prompt"] for row in mine])
