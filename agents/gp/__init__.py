"""GP: a Gaussian process over whole allocations."""
