"""Every label and message of the Grid tab."""

from maskunet.ui import words

TITLE = "Grid"
INTRO = "A picture for every combination. What no axis varies comes from the form."
AXES = ("Columns (x)", "Rows (y)", "Panels (z)")
VALUES, NOTHING = "Values", "nothing"
FIELDS = {
    "prompt": words.PROMPT,
    "negative_prompt": words.NEGATIVE,
    "seed": words.SEED,
    "model": words.MODEL,
    "method": words.METHOD,
    "preset": words.PRESET,
    "steps": words.STEPS,
    "guidance": words.GUIDANCE,
}
HINT = (
    "Write 1,2,5 or 1..8 or 2.5:10:2.5 (from, to, step). Prompts have | between them. After a method may come a "
    "/preset, a :part that was trained and a @guidance, such as Random mask/window@7.5."
)
MAKE, STOP = "Make the grid", "Stop and keep"
EMPTY = "No grid yet. Choose what varies, then press “Make the grid”. "
UNDER = "Under each picture: the total reward. Click one to make its pair and open it in Compare."
NOT_MADE = "not made"
FILES = ("Download sheet (.png)", "Download table (.csv)", "Download all (.json)")
PHASES = {
    "queued": "Waiting",
    "loading": "Loading the model",
    "grid": "Making",
    "done": "Done",
    "stopped": "Stopped",
    "failed": "Not finished",
}


def plan(count: int, cost: str) -> str:
    """What a grid takes."""
    return f"{count} picture{'s' * (count != 1)}, {cost}."


def progress(made: int, count: int) -> str:
    """How far a grid is."""
    return f"{made} of {count} pictures"
