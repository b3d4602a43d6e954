"""python -m experiments.tabulate: retrain every allocation of a small space."""
