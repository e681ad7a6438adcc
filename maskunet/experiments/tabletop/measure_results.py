"""Put saved evaluations side by side: each method's table line, and every pair from the same noise."""

from pathlib import Path

from maskunet.experiments import evaluate
from maskunet.records.disk import whole

# Method against control: the same solver order and the same prompts and seeds, so the mask is the difference.
PAIRS = (
    ("official", "plain_first_order"), ("official", "random_mask_start_first_order"),
    ("paper", "plain_second_order"), ("paper", "random_mask_start"),
    ("improved", "plain_second_order"), ("improved", "random_mask_start"),
    ("improved_fast", "plain_second_order"), ("improved_fast", "random_mask_start"),
    ("maskunet_trained", "plain_second_order"), ("maskunet_amortized", "plain_second_order"),
    ("maskunet_amortized", "random_mask_as_amortized"), ("random_mask_as_amortized", "plain_second_order"),
    ("random_mask_start_first_order", "plain_first_order"), ("random_mask_start", "plain_second_order"),
    ("best_of_n", "plain_second_order"),
)  # fmt: skip


def write(folder: Path, model: str) -> str:
    """Read every evaluation of a base model under `folder` and write README.md there; returns its text.

    Raises:
        ValueError: there is none, or one is damaged.
    """
    found = {path.parent.name: evaluate.record(path.parent) for path in sorted(folder.glob("*/evaluation.json"))}
    if not found:
        raise ValueError(f"“{folder.name}” holds no evaluations. Make some with python -m maskunet evaluate.")
    rows = {name: each["rows"] for name, each in found.items()}
    scales = {name: each["about"].get("request", {}).get("guidance") for name, each in found.items()}
    several = len({*scales.values()}) > 1
    lines = [
        {**evaluate.summarize(mine)[-1], "task": f"{name}, at {scales[name]:g}" if several else name}
        for name, mine in rows.items()
    ]
    pairs = [
        f"- **{a}**. {evaluate.paired_line(b, evaluate.paired(rows[a], rows[b]))}"
        for a, b in PAIRS
        if a in rows and b in rows
    ]
    text = (
        f"# Does the training-free method help on {model}?\n\n"
        f"Each folder here was made by `python -m maskunet evaluate --model {model} --method M --preset P --guidance G --tasks all "
        "--n 8 --seed 1 --out DIR` on one thread of a CPU that did other work beside, so the seconds are for orientation; "
        "this page by `python -m maskunet tabletop results`. “Correct” is the checker's word, which nothing optimizes; the reward is what the training-free method optimizes, so it must "
        "rise and proves nothing by itself.\n\n"
        + evaluate.table(lines, "method")
        + "\n\nThe same prompts and noise, picture by picture:\n\n"
        + "\n".join(pairs)
        + "\n"
    )
    whole.write(folder / "README.md", text)
    return text
