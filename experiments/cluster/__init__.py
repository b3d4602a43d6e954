"""A Ray cluster, where its machines retrain candidates."""
