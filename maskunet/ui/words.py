"""What several parts of the page say; a tab's own words are in its `*_words.py`."""

TITLE = "MaskUNet Lab"
TAGLINE = "Same noise, same prompt: left the model as it is, right with some weights switched off. Change the prompt and press “Generate both”."
LOGIN = "Five wrong passwords within a minute lock the login for a minute."
PROMPT = "Prompt"
PROMPT_PLACEHOLDER = "a red cube and a blue sphere"
TRY = f"Try “{PROMPT_PLACEHOLDER}”; “Words it knows” has the others."
NEGATIVE = "Negative prompt"
SEED = "Seed"
NEW_SEED = "New seed"
MODEL = "Base model"
METHOD = "Method"
GROUPS = "Word groups"
GROUPS_INFO = "Read off the prompt, nouns last. Remove one, or type another of the prompt’s words."
PRESET = "Preset"
STEPS = "Steps"
STEPS_INFO = "0: the model’s own."
GUIDANCE = "Guidance scale"
GUIDANCE_INFO = "0: the model’s own."
MORE = "More settings"
SWITCHES = "Speed and memory"
ONE_CHANGED, MANY_CHANGED = "1 differs from the preset.", "{n} differ from the preset."
CHANGED_MARK, BACK_TO_PRESET = "{n} changed", "Back to the preset"
GENERATE = "Generate both"
STOP = "Stop and keep the best"
PICTURE, BEFORE, AFTER, CLOSE = "Picture", "Previous", "Next", "Close"
SHOW_FORM, HIDE_FORM = "Show the form", "Hide the form"
SETTINGS = "Settings"
VOCABULARY = "Words it knows"
VIEW = "View"
VIEWS = ("Side by side", "Slider", "Difference")
DOWNLOAD_RUN = "Download run (.zip)"
TO_SHARE, MAKING_FILES = "Make files to share", "Making files…"
SHARED = {"card.png": "Card (.png)", "steps.webp": "Steps (.webp)", "steps.gif": "Steps (.gif)"}  # by file
DRAWN = "“{run.prompt}”, seed {run.seed}"
CSV = "Download its numbers as CSV"
DOWNLOAD_NUMBERS = "Download numbers (.csv)"
COPY_LINK = "Copy link"
LINK_COPIED = "Link copied"
LINK_NOT_COPIED = "This browser did not let the page copy the link."
REPEAT, WAY, WAYS = "Repeat this run", "How", ("Command", "Replay", "Python", "curl")
NULL_MASK = "Check: mask of ones"
STOP_CHECK = "Stop the check"
NULL_MASK_INFO = "Makes the plain picture twice, once under a mask that keeps every weight. A difference of 0 means that putting a mask on changes nothing."
PRECOMPUTED = "Precomputed"
EMPTY_PAIR = "No picture yet. Press “Generate both”."
RESTORED = "No new picture came of it, so the pair from before is shown."
EMPTY_OPTIMIZE = "Start a run with “MaskUNet, training-free” to watch every update here."
NO_UPDATES = "{method} optimizes no mask. “MaskUNet, training-free” does."
EMPTY_HISTORY = "This browser’s runs are listed here."
HISTORY_NOTE = "The server keeps 200 runs."
OPEN = "Open"
DELETE = "Remove from list"
NOT_SCORED = "not scored"
GONE = "This run is no longer on the server, which keeps 200 of them."
DIFFERENCE_NOTE = "Absolute difference per pixel, times three."
TOTAL, KEPT = "Total reward", "Weights kept"
CHANGES = {"rise": "rises", "fall": "falls"}  # against the unmasked picture
CHART_HINT, UNMASKED_HINT = "Vertical lines are steps.", "The dashed line is the unmasked picture."
FILMSTRIP = "Predicted image after each step"
SHARE, REMOVED, RATIO = "share", "removed", "Removed ratio"
# The Explore tab has its own, `explore_words`.
# The Race tab has its own, `race_words`.
RACE = "Race"
# The Features tab.
FEATURES = "Features"
SETS, REFERENCE, EMBEDDING, PERPLEXITY = "Sets", "Reference", "Embedding", "Perplexity"
EXTRACTOR, EXTRACTOR_INFO = "Extractor", "The network for folders of pictures."
MOST, MOST_INFO = "Pictures per folder", "At most; drawn by the seed."
DRAW, STOP_DRAWING = "Draw", "Stop"
DRAWING_ENDS = {
    "done": "",
    "stopped": "Stopped. Features that were extracted are kept, so that the next drawing is faster.",
}
EMPTY_FEATURES = (
    "There are no sets of pictures here yet. To make those of the tabletop model: python -m maskunet tabletop "
    "features. To compare folders of your own, start the page with --images DIR, the folder above them."
)
NOTHING_DRAWN = "Every point is a picture; similar pictures lie close together."
NOTHING_CHOSEN = "Click a point or drag around several; or arrow keys and Enter."
COCO = "Own folders, such as COCO: start with --images DIR."
FEW = 500  # pictures of a set below which its measures say little
MEASURED, ONE_SET = "Measured against", "Choose a second set to measure it against the reference."
CHOSEN = {  # said in the browser, which fills in what stands in braces
    "none": "No picture is chosen.",
    "some": "{n} chosen: {counts}.",
    "many": "{n} chosen: {counts}; the first {shown} are shown.",
    "count": "{n} of {name}",
    "picture": "Picture {i} of {n} of {name}: {text}",
    "file": "{name}, {file}",
}
INTERVALS, NOT_MEASURED = "Brackets: 95 % intervals.", "not measured"
HOW_MEASURED = "How to read these"
# The Train tab.
TRAIN = "Train"
TRAIN_INTRO = "A short training on rendered scenes or your pictures. Pictures come first."
RECIPE, TRAINING_NAME = "Recipe", "Name"
OWN_PICTURES = "Your pictures: 3 to 10 of one thing"
TRAIN_SETTINGS = {
    "token": "New word",
    "begin": "Begins from",
    "instance_prompt": "Prompt of your pictures",
    "class_prompt": "Prompt of the class",
    "variant": "Variant",
    "steps": "Steps",
    "batch": "Pictures per step",
    "learning_rate": "Learning rate",
    "every": "Checkpoint every",
    "seed": "Seed",
}
START_TRAINING, STOP_TRAINING = "Start training", "Stop and keep"
DOWNLOAD_TRAINED, DOWNLOAD_LOG = "Download (.zip)", "Download log (.csv)"
USE_TRAINED = "Use in Compare"
TRAINED, FIRST_TRAINED = "Trained", "the model’s first"
NO_TRAINING = "Nothing was trained here yet."
TRAINING_PHASES = {
    "loading": "Loading the model and sampling it untrained",
    "preparing": "Making the pictures that it learns from",
    "training": "Training",
    "stopping": "Stopping after this step, then saving",
    "done": "Done",
    "stopped": "Stopped",
    "failed": "Not finished",
}
LOSS, ONE_STEP, LEARNING_STEP = "Loss", "one step", "training step"
HELD_OUT, HELD_OUT_CHANGE = "Change of the loss on held-out scenes", "change, %"
UNSEEN = "Unseen pairs put in the right order"
UNSEEN_HINT = "Half is chance. The checkpoint with the largest share is kept."
JUDGED, JUDGED_CHANGE = "Pictures of other prompts, as judged", "change"
JUDGED_HINT = "Against the base model’s pictures from the same noise; “correct” is the checker’s share."
AS_USED, WHEN_DRAWN = "as used", "expected when drawn"
DISTANCES, OVER_TIME, OVER_SAMPLES = "How far masks differ", "between t = 900 and 100", "between two scenes"
MASKS_HINT = "Measured at checkpoints on two scenes at two timesteps (n = 4 masks): a look, not an estimate."
SAMPLES, BASE_ROW = "Samples of the same prompts and noise", "Base model, untrained"
EARLIER = "Earlier checkpoints"
DRAWING_PHASES = {
    "waiting": "Waiting for other visitors’ drawings",
    "starting": "Starting",
    "extracting": "Extracting",
    "embedding": "Computing",
    "measuring": "Measuring",
}
PHASES = {
    "queued": "Waiting",
    "loading": "Loading the model",
    "checking": "Checking",
    "measuring": "Measuring",
    "base": "Unmasked",
    "result": "Masked",
    "done": "Done",
    "stopped": "Stopped",
    "interrupted": "Interrupted",
    "failed": "Not finished",
}
MACHINE, MEASURE = "This machine", "Measure its speed"


def seconds(value: float) -> str:
    """A duration as people say it."""
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 90 else f"{value / 60:.1f} min"


def left(seconds_left: float | None) -> str:
    """How long it still takes; nothing where nobody knows, or where an estimate that was too short has run out."""
    return "" if seconds_left is None or seconds_left < 1 else f", about {seconds(seconds_left)} left"


def within(low: float, high: float) -> str:
    """From where to where a number goes, both ends included."""
    return " – ".join(f"{end:,.9f}".rstrip("0").rstrip(".") for end in (low, high))


def unscored(why: str) -> str:
    """What a base model does without its rewards."""
    return f"Its pictures are not scored, and methods that rewards steer are refused. {why}"


def total(parts: list[tuple[str, float]]) -> str:
    """The total reward, and what it is the sum of: titles and weights, where they are known."""
    terms = [title if weight == 1 else f"{weight:g} × {title}" for title, weight in parts]
    return f"{TOTAL}: {' + '.join(terms)}" if terms else TOTAL


def queued(ahead: int) -> str:
    """The place in the queue."""
    return "Next in line" if ahead == 0 else f"{ahead} ahead in the queue"


def run(prompt: str, seed: int | str, method: str) -> str:
    """A run in a list."""
    short = prompt if len(prompt) <= 48 else f"{prompt[:47]}…"
    return f"{short}, seed {seed}, {method}"


def a_set(title: str, n: int) -> str:
    """A set of pictures in a list."""
    return f"{title} ({n:,})"


def plane(how: str, network: str) -> str:
    """How pictures were put into the plane, and whose features they are."""
    return f"{how}, features of {network}"


def few(least: int) -> str:
    """What to expect of small sets."""
    return f"n = {least}: small differences are chance." if least < FEW else ""


def perplexity_info(largest: int, n: int) -> str:
    """What perplexities t-SNE and UMAP take for so many pictures."""
    if largest < 1:
        return f"Too few pictures for t-SNE: {n:,}, at least 4 are needed. Take PCA, or more pictures."
    return f"1 to {largest:,} for {n:,} pictures."


def training(phase: str, step: int, steps: int) -> str:
    """How far a training is."""
    return f"{TRAINING_PHASES[phase]}, step {step:,} of {steps:,}" if step else TRAINING_PHASES[phase]


def preparing(done: int, total: int, what: str) -> str:
    """How far the pictures are from which a training learns."""
    return f"{TRAINING_PHASES['preparing']}: {done:,} of {total:,} {what}"


def kept(model: str, name: str, step: int, steps: int) -> str:
    """What is left of a training that is over."""
    if not step:
        return f"Nothing of “{name}” was kept: it ended before its first checkpoint."
    return f"“{name}” is kept as it was at step {step:,} of {steps:,}, in trained/{model}/{name}."


def loss_hint(n: int) -> str:
    """How to read the loss."""
    return (
        f"The line is the mean of the last {n} steps with its 95 % interval, steps taken as independent; "
        "a step’s loss depends much on the timesteps it drew."
    )


def held_out_hint(n: int) -> str:
    """How to read the loss on scenes that no step trains on."""
    return f"Against the base model, n = {n} scenes; the band is a 95 % interval. Below 0 is better."


def samples_at(step: int) -> str:
    """Whose samples a row shows."""
    return f"After step {step:,}"
