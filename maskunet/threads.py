"""How long a thread of torch spins before it sleeps; set before torch is imported, which reads it then."""

import os

SPIN = "3000"  # docs/speed.md, "Two cores": a machine alone is faster with more, a shared one with less


def set_spin() -> None:
    """Set GOMP_SPINCOUNT, unless the user has."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
