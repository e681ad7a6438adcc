"""Every word of the tour."""

TOUR, START = "Tour", "Take the tour"
BACK, NEXT, FULL = "Back", "Next", "Full screen (F)"
LINKS = {
    "Paper": "https://arxiv.org/abs/2505.03097",
    "Published code": "https://github.com/gudaochangsheng/MaskUnet",
}
PLAIN = "A model draws a picture"
RANDOM, RANDOM_SAID = (
    "Switch some weights off at random",
    "Same noise, same prompt. Chosen masks have to beat this control.",
)
CHOSEN, CHOSEN_SAID = "Choose which ones", "A mask for every step, from a network that learned from clean pictures."
CONCEPT = "Take a concept away"


def plain(prompt: str, model: str) -> str:
    """What the first slide shows."""
    return f"“{prompt}”, drawn by {model} with every weight in its place."


def concept(name: str) -> str:
    """What the slide of a concept shows."""
    return f"One mask for all prompts takes “{name}” away. It was found by what these weights do for this word."


def facts(prompt: str, removed: str, rewards: tuple[float | None, float | None]) -> str:
    """A run in a sentence or two: its rewards, where they are known, before and after."""
    before, after = rewards
    said = f"“{prompt}”, {removed} of the weights removed"
    return f"{said}." if before is None or after is None else f"{said}: reward {before:.2f} → {after:.2f}."
