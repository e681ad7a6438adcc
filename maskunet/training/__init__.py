"""How something is trained: the loop, its data and objectives, its checkpoints, and the recipes."""
