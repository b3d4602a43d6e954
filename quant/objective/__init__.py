"""Objective: what a network is trained by, and what says how good it is."""
