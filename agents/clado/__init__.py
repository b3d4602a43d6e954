"""CLADO: sensitivities of single tensors and of pairs, and a quadratic program."""
