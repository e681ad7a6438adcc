"""python -m maskunet COMMAND: one command per file."""
