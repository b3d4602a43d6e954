"""HAQ: DDPG on real-valued actions."""
