"""Where the embedded worlds' weights lie."""

import json
from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"  # the rewards; below it the model and the judges
MODEL = WEIGHTS / "model"
CHECKER = WEIGHTS / "checker"
INSPECTOR = WEIGHTS / "inspector"
SPOTTER = WEIGHTS / "spotter"
GUIDANCE = WEIGHTS / "guidance.json"  # the scale that was measured as best
WEB = WEIGHTS / "web"  # the model that learned from spoiled data, and a reward that minds it


def guidance(file: Path, default: float) -> float:
    """The scale that was chosen for plain pictures on training prompts; `default` where nobody wrote it."""
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["guidance"])
    except (OSError, ValueError, KeyError, TypeError):
        return default
