"""Blind votes on pairs of pictures: the study, what a voter is shown of it, and the votes as a file of lines."""
