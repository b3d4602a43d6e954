"""python -m experiments.export: a finished run as a folder that runs elsewhere."""
