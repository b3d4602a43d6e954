"""The staircase: measured time of layers against their bit-width, on one device."""
