"""Where the embedded world's weights lie."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"  # the rewards; below it the model and the checker
MODEL = WEIGHTS / "model"
CHECKER = WEIGHTS / "checker"
GUIDANCE = WEIGHTS / "guidance.json"  # the scale that was measured as best
