"""Words of what a page opens with: the pair and what is said of it, the examples, other models, and About."""

from collections.abc import Sequence

RIGHT, WRONG = "Right", "Wrong"
TOTAL_OF = "the weighted sum"
MORE_EXAMPLES = "More precomputed pairs"
COPY, COPIED, NOT_COPIED = "Copy", "Copied", "Not copied"
LINK_GONE = "The run behind this link is gone. Press “Generate both” to make it again."
ABOUT = """
**MaskUNet** (CVPR 2025, [paper](https://arxiv.org/abs/2505.03097)) switches off some weights of a frozen text-to-image
U-Net. A trained network makes this mask at every step, or, without training, the gradient of two rewards.

- Training-free masks are chosen to raise rewards; trained ones learned from pictures. On tabletop, an independent checker says whether a picture is right.
- **Tabletop** is our small model of rendered scenes. Its **spoiled** sister also learned from wrong captions and damaged
  pictures. Neither says anything about Stable Diffusion, whose safety checker is not loaded: look before you show.
"""


def saw(things: str) -> str:
    """What the checker found in a picture."""
    return f"The checker saw {things}"


def spoiled(how: str) -> str:
    """How the inspector finds a picture spoiled."""
    return f" in a {how} picture"


def predicted(step: int, steps: int) -> str:
    """How far a picture came that was stopped early."""
    return f"predicted at step {step} of {steps}"


def use(title: str) -> str:
    """Heading of what a base model takes."""
    return f"Use {title}"


def missing(parts: Sequence[str]) -> str:
    """What is not on this machine."""
    return f"Missing: {', '.join(parts)}."


def in_all(gigabytes: float) -> str:
    """How much there is to download."""
    return f"{gigabytes:.1f} GB in all:"


def license(name: str) -> str:
    """Under which license it is."""
    return f"License: {name}."
