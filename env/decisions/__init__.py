"""What an episode decides: the order, the costs, the budget, the masks that keep it."""
