"""The race: what every method gives a user for the same time, judged by what none of them optimizes."""
