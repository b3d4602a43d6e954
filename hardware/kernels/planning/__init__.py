"""Which kernel an operator gets: family, schedule, constants, key."""
