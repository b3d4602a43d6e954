"""AMED: Metropolis sampling of the bits during training."""
