"""python -m experiments.boards: which boards there are, and whether one works."""
