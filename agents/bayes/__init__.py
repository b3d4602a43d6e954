"""Bayes: an integer program on samples of the posterior."""
