"""python -m experiments.compare: every method under one set of budgets, retraining, measuring."""
