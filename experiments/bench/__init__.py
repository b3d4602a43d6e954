"""python -m experiments.bench: how soon candidates are programs, how good and fast those are."""
