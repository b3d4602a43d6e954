"""Where tensors are: which device the user means, what goes there and comes back, and images."""
