"""Every label and message of the page, so that wording is reviewed in one place."""

TITLE = "MaskUNet Lab"
TAGLINE = (
    "Zero some weights of a frozen text-to-image U-Net, chosen for every timestep and every picture, "
    "and see what it does to the image."
)
PROMPT = "Prompt"
PROMPT_PLACEHOLDER = "a red cube and a blue sphere"
NEGATIVE = "Negative prompt"
SEED = "Seed"
NEW_SEED = "New seed"
MODEL = "Base model"
METHOD = "Method"
PRESET = "Preset"
STEPS = "Steps"
STEPS_INFO = "Denoising steps; the paper uses 15."
GUIDANCE = "Guidance scale"
GUIDANCE_INFO = "0 is the model's best for unmasked pictures."
MORE = "More settings"
GENERATE = "Generate both"
STOP = "Stop and keep the best"
VOCABULARY = "This small model knows these words. Click to add one."
VIEW = "View"
VIEWS = ("Slider", "Side by side", "Difference")
DOWNLOAD_RUN = "Download run (.zip)"
DOWNLOAD_NUMBERS = "Download numbers (.csv)"
COPY_LINK = "Copy link"
LINK_COPIED = "Link copied"
REPEAT = "Repeat this run elsewhere"
NULL_MASK = "Check: mask of ones"
NULL_MASK_INFO = (
    "Runs this prompt once plain and once through the mask machinery with every weight kept. "
    "The largest pixel difference must be 0."
)
PRECOMPUTED = "Precomputed"
EMPTY_PAIR = "No picture yet. Press “Generate both”."
EMPTY_OPTIMIZE = "Start a run with a MaskUNet method to watch every update here."
EMPTY_HISTORY = "Your runs will be listed here."
HISTORY_NOTE = (
    "The list is kept in this browser, the pictures by the server, which keeps its newest 200 runs."
)
OPEN = "Open"
DELETE = "Remove from list"
GONE = "The server has no such run any more; it may have been restarted."
DIFFERENCE_NOTE = "Absolute difference per pixel, times three."
CHARTS = {
    "total": "Total reward",
    "image_reward": "ImageReward",
    "hpsv2": "HPSv2",
    "keep_ratio": "Weights kept",
}
CHART_HINT = "One point per update; vertical lines are denoising steps."
FILMSTRIP = "Predicted image after each step"
FILMSTRIP_NOTE = "Frames from before a reload are not shown."
PHASES = {
    "queued": "Waiting",
    "loading": "Loading the model",
    "base": "Unmasked",
    "result": "Masked",
    "done": "Done",
    "stopped": "Stopped",
    "failed": "Not finished",
}
ABOUT = """
### What happens here

The U-Net of a text-to-image model is frozen. **MaskUNet** (CVPR 2025) multiplies some of its weights,
the attention projections in the up blocks, by a mask of zeros and ones. The training-free variant looks
for that mask while the picture is made: at every denoising step it predicts the final image, asks two
reward models how well it fits the prompt, and moves the mask along the gradient.

**Keep ratio** is the share of weights that stay; **removed** is the rest. The picture on the left is the
same model from the same noise with nothing removed.

### What to believe

- A higher reward is what the method optimizes, not what it is judged by. On the tabletop model an
  independent checker, which no method sees, says whether a picture shows what the prompt said.
- A random mask of the same ratio is the control. Choose it under Method.
- **Tabletop** is a small model this project trained on rendered scenes so that everything runs on any
  computer. It is not Stable Diffusion, and its pictures and numbers say nothing about Stable Diffusion.

### Larger models

Stable Diffusion 1.5 and 2 run on a CUDA device. Nothing is downloaded unless you say so:
`python -m maskunet download sd15` states the size and asks; `--weights DIR` reads a folder you have.
Their weights are under the CreativeML OpenRAIL-M and OpenRAIL++-M licenses; the safety checker is not loaded, so
look before you show.

### From a program

```python
from gradio_client import Client

client = Client("{url}")
base, result, facts = client.predict(
    prompt="a red cube and a blue sphere", negative_prompt="", seed=7,
    model="{model}", method="maskunet_free", preset="official", api_name="/compare",
)
```

`client.submit(...)` streams previews. On the command line:

```
python -m maskunet generate --model {model} --method maskunet_free --preset official \\
    --prompt "a red cube and a blue sphere" --seed 7 --out my-run
```
"""


def seconds(value: float) -> str:
    """A duration as people say it."""
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 90 else f"{value / 60:.1f} min"


def queued(ahead: int) -> str:
    """The place in the queue."""
    return "Next in line" if ahead == 0 else f"{ahead} ahead in the queue"
