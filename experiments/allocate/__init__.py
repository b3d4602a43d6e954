"""Which bits a budget wants, at once: of a run, or of a network that nobody searched."""
