"""Every label and message of the Intervene tab."""

from collections.abc import Mapping, Sequence
from typing import Any

TITLE = "Intervene"
HINT = "Click a part of the network: once removes it, twice halves it, three times brings it back."
EMPTY = "Click a part of the network below. The picture is made again without it, from the same noise."
WHOLE = "Nothing is out."
PLAIN = "Unmasked"
WHAT = "What is out"
EXAMPLE = "block1.cross.v@1-5; block2.self.head0=0.5"
UNDO, REDO, RESET = "Undo", "Redo", "Bring all back"
COMPARE, EXPLORE = "Open in Compare", "Open in Explore"
TRIED = "Tried on this page"
BOARD = "The network’s attention, by block, layer and step"
NO_MAP = "What each part does has not been measured for this model."
HEADS, FROM_STEP = "heads", "from step"
NAMES = {"q": "queries", "k": "keys", "v": "values", "out": "output"}
STATES = {0.0: "removed", 0.5: "halved", 1.0: "kept", None: "partly out"}
EVERYTHING = "Everything that may be masked is out: little of the prompt is left in the picture."
CONCEPT, DOSE = "Concept", {(True, True): "← erase · amplify →", (True, False): "← erase", (False, True): "amplify →"}
OTHER_CONCEPTS = "To erase a concept, choose “{model}” as the base model. It has: {concepts}."
NO_CONCEPTS = "There is no concept mask for this model here; docs/concepts.md says how to make one."
ONE_WAY = "There is no mask to {direction} “{concept}”; move the slider the other way."
EITHER = "Give either what is out, or a concept and its dose."
AGAIN = "A part that is not there was asked for. Reload the page and try again."


def where(place: Any, steps: int) -> str:
    """A place of one site, layer, block or head as it is read out."""
    parts = [f"block {place.blocks[0]}"]
    parts += [f"layer {n}" for n in place.layers] + [f"{name}-attention" for name in place.attentions]
    parts += [NAMES[role] for role in place.roles] + [f"head {n}" for n in place.heads]
    text = ", ".join(parts).capitalize()
    return f"{text}, {span(place.steps)}" if place.steps else f"{text}, all {steps} steps"


def span(steps: Sequence[int]) -> str:
    """A range of steps."""
    return f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"


def effect(cell: Mapping[str, Any]) -> str:
    """What the causal map found for a place."""
    return (
        f"without it the picture moves {cell['distance']:.1f} of 255 ({cell['distance_low']:.1f} to "
        f"{cell['distance_high']:.1f}); correct {signed(100 * cell['correct'], 0)} points "
        f"({signed(100 * cell['correct_low'], 0)} to {signed(100 * cell['correct_high'], 0)}); reward "
        f"{signed(cell['total'])} ({signed(cell['total_low'])} to {signed(cell['total_high'])}); n = {cell['n']}"
    )


def signed(value: float, digits: int = 2) -> str:
    """A change, with a true minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def legend(most: float, n: int) -> str:
    """What the board's color says."""
    return (
        f"Shade: how far the picture moves without it, 0 to {most:.0f} of 255 (mean of {n} prompts, measured before)."
    )


def without(text: str) -> str:
    """What stands under the right picture; a place with a share after it, as in "block1=0.5", keeps so much."""
    return f"{'Out or weakened:' if '=' in text else 'Without'} {text}" if text else WHOLE


def dosed(concept: str, dose: float) -> str:
    """What stands under a picture with a concept's mask."""
    return f"“{concept}” {'erased' if dose < 0 else 'amplified'}, {abs(dose):.0%} of the mask" if dose else WHOLE
