"""The shipped policy: drawn networks and losses, cloned solutions, then PPO."""
