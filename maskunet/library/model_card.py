"""The card of a trained part on the Hugging Face Hub: what it is, what it was made from, its figures, how to load it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskunet.methods import method_for
from maskunet.models.base import ModelSpec
from maskunet.records import held_mask
from maskunet.records.disk import trained_file
from maskunet.records.disk.hub import file_hash

LICENSES = {  # the Hub's names of those that base models here are under
    "Apache-2.0": "apache-2.0",
    "CreativeML OpenRAIL-M": "creativeml-openrail-m",
    "CreativeML Open RAIL++-M": "openrail++",
}
WHAT = {
    "mask": "A kept mask: which attention weights of the frozen U-Net are removed, at which timestep.",
    "generator": "A mask generator: a small network that chooses, for every step, which attention weights of the frozen "
    "U-Net are removed.",
    "unet": "A fine-tuned U-Net.",
    "lora": "A LoRA of the U-Net.",
}
NO_FIGURES = "No evaluation record of this file was given, so there are no figures here."


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A trained part and all that is known of it.

    Attributes:
        kinds: see `trained_file.kinds`. about: the file's header. training: what its training wrote down.
        exam: what that measured of it on held-out captions.
        evaluations: records of `maskunet evaluate`.
    """

    name: str
    path: Path
    kinds: tuple[str, ...]
    about: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)
    exam: Mapping[str, float] = field(default_factory=dict)
    evaluations: Sequence[Mapping[str, Any]] = ()


def card(part: Part, base: ModelSpec, repo: str, license_id: str) -> str:
    """The model card, Markdown under the Hub's front matter.

    Args:
        repo: where it will lie, OWNER/NAME. license_id: as the Hub calls it.
    """
    from huggingface_hub import ModelCardData

    matter = ModelCardData(
        license=license_id,
        library_name="maskunet",
        base_model=base.repo or None,
        tags=["maskunet", part.kinds[0], "text-to-image"],
    )
    parts = (
        f"---\n{matter.to_yaml()}\n---",
        f"# {part.name}",
        f"{WHAT['lora' if part.about.get('kind') == 'lora' else part.kinds[0]]} Made with MaskUNet Lab.",
        f"## Load it\n\n{_use(part, base, repo)}",
        f"## Base model\n\n{_base(part, base)}",
        f"## How it was made\n\n{_made(part)}",
        f"## Figures\n\n{_figures(part)}",
        f"## License\n\n{license_id}. The base model's weights: {base.license}.",
    )
    return "\n\n".join(parts) + "\n"


def _use(part: Part, base: ModelSpec, repo: str) -> str:
    """Three lines that load it: in any pipeline, where masks can be put into one, and in the lab."""
    spec = method_for(part.kinds[-1])
    (setting, _), *_ = spec.takes.items()
    lab = (
        f'```python\nfrom maskunet import Lab\nlab = Lab("{base.name}")\n'
        f'run = lab.compare("a red cube", method="{spec.name}", settings={{"{setting}": "hf://{repo}"}})\n```'
    )
    if part.kinds[0] == "unet":
        return lab
    return (
        f'```python\nfrom maskunet import apply_masks\n\napply_masks(pipe, "hf://{repo}")  # any diffusers pipeline of '
        f"the base model\n```\n\n{lab}"
    )


def _base(part: Part, base: ModelSpec) -> str:
    where = "its weights come with the program" if base.embedded else "its maker's own file or folder"
    where = f"[{base.repo}](https://huggingface.co/{base.repo})" if base.repo else where
    rows = [f"| `{file}` | `{digest}` |" for file, digest in part.about["weights"].items()]
    table = "\n".join(["| file of its U-Net | SHA-256 |", "|---|---|", *rows])
    return f"{base.title}, {where}. This file fits these weights and no others:\n\n{table}"


def _made(part: Part) -> str:
    found = [f"SHA-256 of `{held_mask.FILE}`: `{file_hash(part.path)}`"]
    if part.kinds[0] == "mask":
        mask = held_mask.load(part.path)
        share = sum(len(places) for places in mask.steps.values()) / (mask.total * len(mask.steps))
        how = "one mask for all steps" if mask.static else f"{len(mask.steps)} masks over the timesteps"
        found.append(f"It removes {share:.2%} of {mask.total:,} weights: {how}.")
        return "\n\n".join([*found, _json(mask.recipe)])
    if not part.training:
        found.append("Its training left no record beside it.")
        return "\n\n".join([*found, _json(part.about["settings"])] if "settings" in part.about else found)
    told = part.training
    found.append(f"Recipe `{told.get('recipe')}`, data: {told.get('data')}, {told.get('examples', 0):,} examples.")
    return "\n\n".join([*found, _json(told.get("settings", {}))])


def _json(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=1, ensure_ascii=False)}\n```"


def _figures(part: Part) -> str:
    found = [_evaluation(each) for each in part.evaluations]
    if part.exam:
        found.append(
            "By the training itself, on held-out captions: change of the mean against the base model's pictures, with a "
            f"95 % interval from its standard error.\n\n{_exam(part.exam)}"
        )
    return "\n\n".join(found) or NO_FIGURES


def _evaluation(record: Mapping[str, Any]) -> str:
    about = record["about"]
    asked = about["request"]
    how = ", ".join(f"{name} {about[name]}" for name in ("tasks", "n", "seed", "split") if name in about)
    lines = ["| task | n | correct (95 %) | total reward (95 %) |", "|---|---|---|---|"]
    for row in record["summary"]:
        right = f"{row['correct']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        reward = f"{row['reward']:.3f} ({row['reward_low']:.3f} to {row['reward_high']:.3f})"
        lines.append(f"| {row['task']} | {row['n']} | {right} | {reward} |")
    settings = json.dumps(asked.get("settings", {}))
    return (
        f"`python -m maskunet evaluate`: method `{asked['method']}`, preset `{asked['preset']}`, settings `{settings}`; "
        f"{how}.\n\n" + "\n".join(lines)
    )


def _exam(figures: Mapping[str, float]) -> str:
    lines = ["| | change (95 %) |", "|---|---|"]
    for name, value in figures.items():
        if name.endswith("_change"):
            half = 1.959964 * figures[name.removesuffix("_change") + "_error"]
            lines.append(
                f"| {name.removesuffix('_change')} | {value:+.4f} ({value - half:+.4f} to {value + half:+.4f}) |"
            )
    return "\n".join(lines)


def license_of(base: ModelSpec, given: str = "") -> str:
    """The license of the card, as the Hub calls it.

    Raises:
        ValueError: nobody says which.
    """
    if given or base.license in LICENSES:
        return given or LICENSES[base.license]
    raise ValueError(f"The license of {base.title} is not known here. Say under which this is given: --license NAME")


def header(path: Path, kind: str) -> dict[str, Any]:
    """What the file says of itself, with the hashes of the U-Net that it is for.

    Raises:
        ValueError: it holds nothing of this kind.
    """
    return trained_file.about(path, f"maskunet-{kind}-1", kind)
