"""The command line that makes a request's pictures."""

import json
import shlex

from maskunet.records import Request


def command_line(request: Request) -> str:
    """The request as a command for a POSIX shell; what is left to the preset is left out."""
    words = ["python", "-m", "maskunet", "generate"]
    options = {
        "model": request.model,
        "method": request.method,
        "preset": request.preset,
        "prompt": request.prompt,
        "negative-prompt": request.negative_prompt,
        "seed": request.seed,
        "steps": request.steps,
        "guidance": request.guidance,
    }
    for name, value in options.items():
        if value not in ("", None):
            # With "=", a prompt that starts with a dash is not taken for an option.
            words.append(f"--{name}={value}")
    words += [
        f"--set={key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in request.settings.items()
    ]
    if request.keep_masks:
        words.append("--keep-masks")
    return " ".join(_quoted(word) for word in [*words, "--out=my-run"])


def _quoted(word: str) -> str:
    name, equals, value = word.partition("=")
    return f"{name}{equals}{shlex.quote(value)}" if equals else word
