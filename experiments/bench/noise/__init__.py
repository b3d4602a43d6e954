"""Noise: how far an accuracy moves by chance, and how much of it an additive model explains."""
