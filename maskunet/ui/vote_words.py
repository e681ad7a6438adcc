"""Every label and message of the Vote tab."""

TITLE = "Vote"
ASKED = {"looks": "Which looks better?", "fits": "Which fits the prompt better?"}
ANSWERS = {"left": "A is better", "right": "B is better", "equal": "Equally good", "neither": "Neither"}
KEYS = {"left": "←", "right": "→", "equal": "↑", "neither": "↓"}  # vote.js knows them by the answers
NAMES = ("A", "B")
UNDO = "Take back the last answer"
BEGIN, FINISH = "Begin", "Finish and see what was what"
INTRO = (
    "You see pairs of pictures. Say which looks better, then which fits its prompt better. You learn "
    "at the end what made them."
)
KEPT = "Your answers and their times are kept under a random number, without name or address."
HOW = "Arrow keys answer, Backspace takes back. A click opens a picture large."
DONE = "Everything is answered. You can still take back the last answer; once you have seen what was what, you cannot."
THANKS = "Thank you. This is what you preferred."
HEAD = ("question", "preferred", "equal", "neither")
SEEN = "What you saw"
YOURS = {
    "left": "you preferred {left}",
    "right": "you preferred {right}",
    "equal": "equally good",
    "neither": "neither",
}
OUTCOME_ASKED = {"looks": "looks", "fits": "fits the prompt"}


def where(item: int, items: int) -> str:
    """How far a voter is."""
    return f"Pair {item + 1} of {items}"


def consistent(same: int, repeated: int) -> str:
    """How often a voter said the same of a pair that was shown twice."""
    return f"Some pairs came twice with their sides exchanged: you said the same in {same} of {repeated} answers."
