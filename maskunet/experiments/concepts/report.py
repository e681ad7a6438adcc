"""What a study of concept masks found: the verdict, a line per concept, and what went with it; 95 % intervals."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from maskunet.experiments.concepts import taught
from maskunet.experiments.concepts.concept import TabletopConcept
from maskunet.experiments.concepts.figures import ERASED, KEPT, OTHERS, Row, figures, paired, picture
from maskunet.experiments.concepts.study import Study, chosen_dose
from maskunet.experiments.concepts.subjects import shows, things
from maskunet.experiments.markdown import markdown_table, p_value
from maskunet.records import held_mask
from maskunet.records.disk import whole
from maskunet.records.table import csv_text

AMPLIFIED = (
    "Masks that remove what works against a concept, on prompts that leave its attribute open, such as “a striped cube” for "
    "red; what must stay and other prompts as above."
)
RIVALS = {
    "negative": ("A negative prompt instead", "The concept's name as the negative prompt."),
    "lora": (
        "A LoRA instead",
        f"Concept ablation: a LoRA learns {taught.PICTURES} of the base's pictures of other captions under prompts with the "
        f"concept, and {taught.PICTURES} of what must stay, in {taught.STEPS} steps of {taught.BATCH}.",
    ),
}
NOTES = (
    "The masks were made by the rewards. How much of one is on, its **dose**, was chosen on training prompts, by the checker: of "
    "0.5 to 1 the dose whose worst figure, against its bar, was best. The checker then judges pictures of "
    "prompts that made no mask and chose no dose. A prompt names texture, color and shape, or a number, color and shape. **Shown** is the share "
    "of the concept's own prompts whose picture has it anywhere; **rest** the share whose picture has one thing with all "
    "else that the prompt names; **others** the share of right pictures of prompts without the concept. Each is over the "
    "base's share, of the same prompts and noise; intervals are 95 %, by the paired bootstrap over prompts; one without width says only that no picture changed. n counts pictures, of which some share a prompt. **Random** is "
    "what weights chosen by chance do to the concept, as many as the largest mask of the study removes; a picture "
    "that was made for several numbers of weights counts once, with the smallest that is not below the concept's own "
    f"mask's. A mask meets the bars where its shown is at most {ERASED:g}, its rest at least {KEPT:g}, its others at "
    f"least {OTHERS:.2f}, and the random mask's change is not significant by the sign test."
)


def summarize(study: Study, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line per concept whose mask was judged, at its chosen dose, the whole mask, every other dose and rival.

    Raises:
        ValueError: there are no pictures of a mask yet.
    """
    base = {picture(row): row for row in rows if row["kind"] == "base"}
    lines = [line for concept in study.concepts if (line := _line(study, concept, rows, base))]
    if not lines:
        raise ValueError("The study has no pictures of a mask yet; let it run longer.")
    return lines


def _line(study: Study, concept: TabletopConcept, rows: Sequence[Row], base: Mapping) -> dict[str, Any]:
    mine = [row for row in rows if row["concept"] == concept.name]
    whole_mask = [row for row in mine if row["kind"] == "erase"]
    if not {"showing", "others"} <= {row["group"] for row in whole_mask}:
        return {}
    dose = chosen_dose(concept, rows)
    judged = [row for row in mine if row["kind"] == "chosen" and row["dose"] == dose]
    if not judged:  # no less than the whole mask is better, or nothing was chosen yet
        dose, judged = 1.0, whole_mask
    mask = held_mask.load(study.mask(concept.name))
    removed = round(dose * len(mask.at(0)))
    line = {
        "concept": concept.name, "attribute": concept.attribute, "dose": dose,
        "removed": removed / mask.total, "weights": removed, "end": mask.recipe["end"],
        **figures(concept.attribute, judged, base),
        **_named("random", figures(concept.attribute, _random(concept, rows, removed), base)),
        **_rivals(concept.attribute, mine, base),
        "collateral": collateral([row for row in judged if row["group"] == "others"], base),
        "dose_1": figures(concept.attribute, whole_mask, base),
    }  # fmt: skip
    for each in sorted({row["dose"] for row in mine if row["kind"] == "dose"}):
        own = [row for row in mine if row["kind"] == "dose" and row["dose"] == each]
        line[f"dose_{each:g}"] = figures(concept.attribute, own, base)
    return {**line, "passes": passes(line)}


def _random(concept: TabletopConcept, rows: Sequence[Row], removed: int) -> list[Row]:
    """The control of a mask: the concept's pictures, each once, with at least as many weights gone by chance.

    A study that grows may get a larger mask, and makes its random pictures again, with as many weights. Of a picture's
    rows the one with the fewest weights is nearest to the mask; to count all would feign more pictures.
    """
    asking = [row for row in rows if row["kind"] == "random" and row["words"].get(concept.attribute) == concept.name]
    enough = sorted((row for row in asking if row["dose"] >= removed), key=lambda row: row["dose"], reverse=True)
    fewest = {picture(row): row for row in enough}
    return [{**row, "group": "showing"} for row in fewest.values()]


def collateral(rows: Sequence[Row], base: Mapping) -> dict[str, float | None]:
    """By attribute the share of pictures of other prompts that have the named value, over the base's."""
    found = {}
    for attribute in ("color", "shape", "texture", "count"):
        named = [row for row in rows if attribute in row["words"]]
        own = paired("x", named, base, lambda row, a=attribute: shows(things(row["seen"]), row["words"], a))
        found[attribute] = own.get("x_ratio")
    return found


def passes(line: Mapping[str, Any]) -> bool:
    """Whether a line meets all bars; before all pictures of its random mask it does not."""
    return not lacks(line)


def _rivals(attribute: str, mine: Sequence[Row], base: Mapping) -> dict[str, Any]:
    """What a negative prompt and a LoRA do to the same pictures."""
    found = {}
    for kind in RIVALS:
        found |= _named(kind, figures(attribute, [row for row in mine if row["kind"] == kind], base))
    return found


def _named(prefix: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{key}": value for key, value in found.items()}


def pairs(study: Study, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What two masks together do to each concept, and to the prompts with neither."""
    base = {picture(row): row for row in rows if row["kind"] == "base"}
    found = []
    for first, second in study.pairs:
        mine = [row for row in rows if row["concept"] == f"{first}+{second}"]
        for name in (first, second):
            concept = next(each for each in study.concepts if each.name == name)
            showing = [row for row in mine if row["group"] == f"showing {name}"]
            if own := figures(concept.attribute, showing, base):
                found.append({"pair": f"{first} + {second}", "prompts": name, **own})
        if own := figures("", [row for row in mine if row["group"] == "others"], base):
            found.append({"pair": f"{first} + {second}", "prompts": "others", **own})
    return found


def amplified(study: Study, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the masks that remove what works against a concept do to prompts that leave its attribute open, and to others."""
    base = {picture(row): row for row in rows if row["kind"] == "base"}
    found = []
    for concept in study.concepts:
        mine = [row for row in rows if row["kind"] == "amplify" and row["concept"] == concept.name]
        if mine:
            mask = held_mask.load(study.mask(concept.name, "amplify"))
            removed = len(mask.at(0)) / mask.total
            found.append({"concept": concept.name, "removed": removed, **figures(concept.attribute, mine, base)})
    return found


def verdict(lines: Sequence[Mapping[str, Any]]) -> str:
    """The first sentences of the page."""
    main = [line for line in lines if line["attribute"] != "count"]
    met = [line["concept"] for line in main if line["passes"]]
    gone = [line["concept"] for line in main if line["shown_ratio"] is not None and line["shown_ratio"] <= ERASED]
    full = [line["concept"] for line in main if not lacks({**line, **line["dose_1"]})]
    failed = "; ".join(f"{line['concept']} ({why})" for line in lines if (why := lacks(line)))
    return (
        f"**{len(met)} of {len(main)} colors, shapes and textures {'meets' if len(met) == 1 else 'meet'} all bars**"
        f"{': ' + ', '.join(met) if met else ''}. "
        f"{len(gone)} {'is' if len(gone) == 1 else 'are'} erased to at most a quarter. "
        f"With all of each mask on, {len(full)} {'meets' if len(full) == 1 else 'meet'} them"
        f"{': ' + ', '.join(full) if full else ''}. "
        f"What fails at the chosen dose: {failed or 'nothing'}."
    )


def lacks(line: Mapping[str, Any]) -> str:
    """Which bars a line misses, in words; empty if none."""
    if not line["weights"]:
        return "no mask found"
    missed = {
        "still shown": line["shown_ratio"] is None or line["shown_ratio"] > ERASED,
        "the rest suffers": line["rest_ratio"] is None or line["rest_ratio"] < KEPT,
        "other prompts suffer": line["others_ratio"] is None or line["others_ratio"] < OTHERS,
        "a random mask changes it too": line.get("random_shown_p", 1) < 0.05,
        "not all of the random mask's pictures yet": line.get("random_shown_n", 0) < line["shown_n"],
    }
    return ", ".join(words for words, so in missed.items() if so)


def markdown(study: Study, rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """The page: the verdict first."""
    lines = summarize(study, rows)
    parts = [
        f"# Erasing concepts from {about['model']}", "", verdict(lines), "", f"Made by `{about['command']}`.", "",
        _table(lines), "", NOTES, "", "## What other prompts lose, by attribute", "", _collateral(lines), "",
        "## Other doses", "", "On the prompts that judge; none was chosen by these.", "", _doses(lines), "",
    ]  # fmt: skip
    if more := amplified(study, rows):
        parts += ["## Amplified", "", AMPLIFIED, "", _amplified(more), ""]
    for kind, (title, how) in RIVALS.items():
        if any(f"{kind}_shown" in line for line in lines):
            parts += [f"## {title}", "", how, "", _rival(lines, kind), ""]
    if together := pairs(study, rows):
        parts += ["## Two at once", "", _pairs(together), ""]
    return "\n".join(parts)


def _table(lines: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "concept",
        "dose",
        "removed",
        "shown",
        "of base",
        "rest, of base",
        "others, of base",
        "random: shown, of base",
        "bars",
    ]
    return markdown_table(head, [
        [
            f"{x['concept']} ({x['attribute']})", f"{x['dose']:g}", f"{x['removed']:.2%}",
            f"{x['shown']:.2f} ({x['shown_low']:.2f} to {x['shown_high']:.2f}), n {x['shown_n']}",
            ratio(x, "shown"), ratio(x, "rest"), ratio(x, "others"), ratio(x, "random_shown"), "met" if x["passes"] else lacks(x),
        ]
        for x in lines
    ])  # fmt: skip


def ratio(line: Mapping[str, Any], name: str) -> str:
    """A share over the base's with its interval, or nothing."""
    if line.get(f"{name}_ratio") is None:
        return ""
    low, high = line[f"{name}_ratio_low"], line[f"{name}_ratio_high"]
    return f"{line[f'{name}_ratio']:.2f} ({low:.2f} to {high:.2f})"


def _collateral(lines: Sequence[Mapping[str, Any]]) -> str:
    kinds = ("color", "shape", "texture", "count")
    return markdown_table(["erased", *kinds], [
        [line["concept"], *("" if line["collateral"][k] is None else f"{line['collateral'][k]:.2f}" for k in kinds)]
        for line in lines
    ])  # fmt: skip


def _doses(lines: Sequence[Mapping[str, Any]]) -> str:
    head = ["concept", "dose", "n", "shown, of base", "rest, of base", "others, of base"]
    cells = []
    for line in lines:
        found = {float(key.removeprefix("dose_")): value for key, value in line.items() if key.startswith("dose_")}
        for dose, own in sorted(found.items()):
            if own.get("shown_n"):
                cells.append(
                    [
                        line["concept"],
                        f"{dose:g}",
                        f"{own['shown_n']}",
                        *(ratio(own, k) for k in ("shown", "rest", "others")),
                    ]
                )
    return markdown_table(head, cells)


def _rival(lines: Sequence[Mapping[str, Any]], kind: str) -> str:
    head = ["concept", "n", "shown, of base", "rest, of base", "others, of base"]
    named = [line for line in lines if f"{kind}_shown" in line]
    return markdown_table(head, [
        [x["concept"], f"{x[f'{kind}_shown_n']}", *(ratio(x, f"{kind}_{k}") for k in ("shown", "rest", "others"))]
        for x in named
    ])  # fmt: skip


def _amplified(found: Sequence[Mapping[str, Any]]) -> str:
    head = ["concept", "removed", "n", "shown by the base", "shown", "sign test", "rest, of base", "others, of base"]
    return markdown_table(head, [
        [
            x["concept"], f"{x['removed']:.2%}", f"{x['shown_n']}", f"{x['shown_base']:.2f}",
            f"{x['shown']:.2f} ({x['shown_low']:.2f} to {x['shown_high']:.2f})", p_value(x["shown_p"], named=True),
            ratio(x, "rest"), ratio(x, "others"),
        ]
        for x in found
    ])  # fmt: skip


def _pairs(found: Sequence[Mapping[str, Any]]) -> str:
    head = ["masks", "prompts", "shown, of base", "rest, of base", "right, of base"]
    return markdown_table(head, [
        [x["pair"], x["prompts"], *(ratio(x, k) for k in ("shown", "rest", "others"))] for x in found
    ])  # fmt: skip


def save(study: Study, rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """Write concepts.json, concepts.csv and concepts.md into the study's folder."""
    lines = summarize(study, rows)
    flat = [{k: v for k, v in line.items() if not isinstance(v, dict)} for line in lines]
    content = {"about": about, "lines": lines, "pairs": pairs(study, rows), "amplified": amplified(study, rows)}
    whole.write(study.out / "concepts.json", json.dumps(content, indent=1) + "\n")
    whole.write(study.out / "concepts.csv", csv_text(flat))
    whole.write(study.out / "concepts.md", markdown(study, rows, about))
