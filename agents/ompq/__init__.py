"""OMPQ: orthogonality of layers and a linear program."""
