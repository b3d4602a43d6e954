"""NSGA-II: a genetic search."""
