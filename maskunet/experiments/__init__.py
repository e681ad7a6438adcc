"""What is made of many runs: evaluations, studies, races, tables."""
