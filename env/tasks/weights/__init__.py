"""Weights from a file: how it is read, which of its names are which of the network's, and fit."""
