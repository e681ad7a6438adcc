"""Is a mask made for its prompt? Each prompt under its own mask and under those of others, with controls."""
