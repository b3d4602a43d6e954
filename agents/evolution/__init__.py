"""Evolution: swaps of levels that keep the budget, and a race among their offspring."""
