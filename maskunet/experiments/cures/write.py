"""What a study found, as pages and tables: the verdict first, in plain words."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskunet.experiments.cures.entrants import PLAIN
from maskunet.experiments.markdown import figure, markdown_table
from maskunet.records.disk import whole
from maskunet.records.table import csv_text
from maskunet.tabletop.spoiling import CAPTIONS, PICTURES

APART = ("tasks", "where", "by_training", "chosen_from")  # of a line, what has a table of its own
NOTES = (
    "Every entrant that learns was trained on the same clean pictures for as many updates. Its learning rate and its "
    "guidance scale are those with most correct pictures of training prompts, found with one training; the held-out "
    "pictures were made once, after that, from the same new noise for all. Their prompts repeat, and short ones are "
    "training prompts too. Random masks remove as much as light's do at the same guidance scale. Shares are means "
    "over the trainings. Gains are against plain pictures at plain's own best guidance, paired by prompt and noise; "
    "intervals are 95 %, by the bootstrap over prompts. Correct is what the checker says, spoiled what the inspector "
    "says; nothing here was trained on either. Unseen pairs are prompts with a color and a shape that no training "
    "picture shows together. The Fréchet distance is to clean renders, on the checker's states; prompts of tasks are "
    "not the renders' captions, so only its change says something; its interval is 1.96 standard deviations of 200 "
    "bootstrap resamples."
)


def verdict(lines: Sequence[Mapping[str, Any]]) -> str:
    """A sentence per entrant, in plain words, each at its own best guidance."""
    told = []
    for line in lines:
        if not line["best"]:
            continue
        share = f"{line['correct']:.0%} of {line['pictures']} held-out pictures right, {line['spoiled']:.0%} spoiled"
        if line["entrant"] == PLAIN.name:
            told.append(f"- **Plain** pictures at their best guidance, {line['guidance']:g}: {share}.")
            continue
        low, high = line["gain_low"], line["gain_high"]
        says = "more right than plain" if low > 0 else "fewer right than plain" if high < 0 else "no clear difference"
        told.append(
            f"- **{line['title'][0].upper()}{line['title'][1:]}** at {line['guidance']:g}: {share}. Against plain, right "
            f"{figure(line, 'gain', '+.2f')}, {says}; spoiled {figure(line, 'spoiled_change', '+.2f')}."
            + (
                f" Against light masks, right {figure(line, 'over_masks', '+.2f')}."
                if line["over_masks"] is not None
                else ""
            )
        )
    return "\n".join(told)


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines as Markdown."""
    head = [
        "entrant", "guidance", "trainings", "correct", "gain", "mended, broken", "unseen pairs", "spoiled", "Fréchet change",
        "removed", "learning rate", "file", "s per picture",
    ]  # fmt: skip
    return markdown_table(head, [_cells(line) for line in lines])


def _cells(line: Mapping[str, Any]) -> list[str]:
    plain = line["entrant"] == PLAIN.name and line["best"]
    return [
        line["title"], f"{line['guidance']:g}{' (best)' if line['best'] else ''}", str(line["trainings"] if line["rate"] else ""),
        figure(line, "correct", ".3f"), "" if plain else figure(line, "gain", "+.3f"),
        "" if plain else f"{line['mended']:.0f}, {line['broken']:.0f}",
        f"{figure(line, 'unseen', '.3f')}, n {line['unseen_prompts']}", figure(line, "spoiled", ".3f"),
        "" if plain else figure(line, "frechet_change", "+.1f", " %"), f"{line['removed']:.1%}",
        f"{line['rate']:g}" if line["rate"] else "", f"{line['bytes'] / 1e6:.2f} MB" if line["bytes"] else "",
        f"{line['seconds']:.2f}",
    ]  # fmt: skip


def markdown(lines: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """The page: the verdict first."""
    return "\n".join([
        f"# What mends {about['model']}?", "", *_corpus(about["corpus"]), verdict(lines), "",
        f"Made by `{about['command']}`: {about['updates']} updates of each training, prompts of all seven tasks, 15 steps.{_repeats(lines)}", "",
        *_left_out(about["left_out"]), table(lines), "", NOTES, "", *_tasks(lines), *_trainings(lines), *_choices(lines),
        *_where(lines),
    ])  # fmt: skip


def _repeats(lines: Sequence[Mapping[str, Any]]) -> str:
    """How many prompts the held-out pictures are of, and what is gained where no setting was chosen on these."""
    if not lines:
        return ""
    most = max(lines, key=lambda line: line["pictures"])
    gains = [
        f"{line['title']} {figure(line, 'new_gain', '+.2f')}"
        for line in lines
        if line["best"] and line["entrant"] != PLAIN.name and line["new_pictures"]
    ]
    told = f" The {most['pictures']} held-out pictures are of {most['prompts']} prompts."
    if not gains:
        return told
    return f"{told} Of the {most['new_pictures']} whose prompts no setting was chosen on, more are right by: {'; '.join(gains)}."


def _tasks(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each gets right and what it loses, task by task."""
    best_ones = [line for line in lines if line["best"] and line["tasks"]]
    if not best_ones:
        return []
    names = list(best_ones[0]["tasks"])
    rows = [[line["title"], *(f"{line['tasks'].get(name, np.nan):.2f}" for name in names)] for line in best_ones]
    head = ["entrant", *(name.replace("_", " ") for name in names)]
    return ["## By task", "", "Share correct, each at its own best guidance.", "", markdown_table(head, rows), ""]


def _trainings(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """How far the trainings of an entrant lie apart."""
    several = [line for line in lines if line["best"] and len(line["by_training"]) > 1]
    if not several:
        return []
    seeds = list(dict.fromkeys(each["seed"] for line in several for each in line["by_training"]))
    rows = []
    for line in several:
        shares = {each["seed"]: f"{each['correct']:.2f}, {each['spoiled']:.2f}" for each in line["by_training"]}
        rows.append([line["title"], *(shares.get(seed, "") for seed in seeds)])
    told = "Shares correct and spoiled, each at its own best guidance."
    head = ["entrant", *(f"seed {seed}" for seed in seeds)]
    return ["## By training", "", told, "", markdown_table(head, rows), ""]


def _choices(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """By which pictures the settings were chosen."""
    best_ones = [line for line in lines if line["best"] and line["chosen_from"]]
    if not best_ones:
        return []
    scales = sorted({each["guidance"] for line in best_ones for each in line["chosen_from"]})
    rows = []
    for line in best_ones:
        for rate in dict.fromkeys(each["rate"] for each in line["chosen_from"]):
            right = {
                e["guidance"]: f"{e['correct']} of {e['pictures']}" for e in line["chosen_from"] if e["rate"] == rate
            }
            rows.append([line["title"], f"{rate:g}" if rate else "", *(right.get(scale, "") for scale in scales)])
    told = "Pictures of training prompts that are correct, with one training. The highest count chose."
    head = ["entrant", "learning rate", *(f"at {scale:g}" for scale in scales)]
    return ["## How settings were chosen", "", told, "", markdown_table(head, rows), ""]


def _where(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which weights go, of those with masks."""
    masked = [line for line in lines if line["best"] and line["where"]]
    if not masked:
        return []
    shares = [{each["where"]: f"{each['removed']:.1%}" for each in line["where"]} for line in masked]
    rows = [[place, *(share.get(place, "") for share in shares)] for place in shares[0]]
    told = "Share of the weights removed, each at its own best guidance: by denoising step, then by kind of site."
    head = ["", *(line["title"] for line in masked)]
    return ["## When and where masks remove weights", "", told, "", markdown_table(head, rows), ""]


def _corpus(shares: Mapping[str, float]) -> list[str]:
    """What the base learned from, where that is written down beside its weights."""
    if not shares:
        return []
    captions, pictures = _spoiled_by(shares, CAPTIONS), _spoiled_by(shares, PICTURES)
    told = f"captions {captions or 'that are true'}, and from pictures {pictures or 'that are clean'}"
    return [f"The base learned from {told}.", ""]


def _spoiled_by(shares: Mapping[str, float], kinds: Iterable[str]) -> str:
    found = {kind: shares[kind] for kind in kinds if shares.get(kind)}
    each = ", ".join(f"{kind} {share:.0%}" for kind, share in found.items())
    return f"of which {sum(found.values()):.0%} are spoiled ({each})" if found else ""


def _left_out(titles: Sequence[str]) -> list[str]:
    """Who was stopped before all the pictures were there from which its settings are chosen."""
    if not titles:
        return []
    return [f"Not here yet, as the choice of learning rate and guidance is not finished: {', '.join(titles)}.", ""]


def save(folder: Path, lines: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write cures.json, cures.csv and cures.md."""
    whole.write(folder / "cures.json", json.dumps({"about": about, "lines": lines}, indent=1) + "\n")
    flat = [{name: value for name, value in line.items() if name not in APART} for line in lines]
    whole.write(folder / "cures.csv", csv_text(flat))
    whole.write(folder / "cures.md", markdown(lines, about))
