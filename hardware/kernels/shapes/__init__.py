"""Shapes of layers and arrays: geometry, layout, the exact integer transform."""
