"""Training: the loop, its data, its checkpoints, and the recipes."""
