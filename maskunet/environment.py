"""What torch reads from the environment when it is imported: set before that, and never over what the user has set."""

import os

DEFAULTS = {
    # How long a thread spins before it sleeps. docs/speed.md, "Two cores": a machine alone is faster with more, a
    # shared one with less.
    "GOMP_SPINCOUNT": "3000",
    # On a GPU: memory in pieces that grow. docs/speed.md, "Memory": others leave a gigabyte unused in between.
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
}


def prepare() -> None:
    """Set the defaults that the user has not set."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
