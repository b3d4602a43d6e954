"""Sensitivities as methods ask for them, estimated once and kept."""
