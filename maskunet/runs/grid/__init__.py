"""Grids of pictures: axes with values, cells that are made once and kept, a sheet with labels and its numbers."""
