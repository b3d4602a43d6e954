"""MCKP: a multiple-choice knapsack."""
