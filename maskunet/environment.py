"""What torch and the C library are told before torch is imported, never over what the user has set."""

import ctypes
import os
import platform

DEFAULTS = {
    # How long a thread spins before it sleeps. docs/speed.md, "Two cores": a machine alone is faster with more, a
    # shared one with less.
    "GOMP_SPINCOUNT": "3000",
    # On a GPU: memory in pieces that grow. docs/speed.md, "Memory": others leave a gigabyte unused in between.
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
}


# Of glibc's malloc (malloc.h): the memory of an update, freed, is kept for the next one. By default it goes back to the
# system, which hands it out again page by page, at least 5,000 an update of tabletop. docs/speed.md, "Freed memory".
KEPT = {
    -8: 1,  # M_ARENA_MAX: one store for all threads; a thread's own gives back whatever is kept
    -3: 32 << 20,  # M_MMAP_THRESHOLD: what is larger, such as weights, always goes back
    -1: 512 << 20,  # M_TRIM_THRESHOLD: so much is kept at most
}
USERS = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")


def prepare() -> None:
    """Set the defaults that the user has not set."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if platform.libc_ver()[0] == "glibc" and not any(name.startswith(USERS) for name in os.environ):
        for option, value in KEPT.items():
            ctypes.CDLL(None).mallopt(option, value)
