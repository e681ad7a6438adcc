"""Frozen networks of the scorers, built only when needed, and how their checkpoints are read."""
