"""From sums to codes: rounding, narrowing, and where the outputs go."""
