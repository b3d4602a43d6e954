"""Everything that chooses an Allocation: PPO and the other search methods."""
