"""Tables of truth: every allocation of a small space, retrained for real, to judge methods by."""
