"""Frozen networks of the scorers, built lazily: which class, which settings, which key names."""
