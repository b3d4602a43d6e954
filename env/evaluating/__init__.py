"""The only expensive call, what it returns, what it cost, and the reward made of it."""
