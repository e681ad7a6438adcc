"""Concept masks: which weights carry a concept, how many of them must go, and what goes with them."""
