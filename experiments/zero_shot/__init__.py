"""Networks that nobody has searched: what can be said of their bits at once, and how sure it is."""
