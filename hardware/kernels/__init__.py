"""Integer kernels in TensorIR: families, their packed weights, and the on-disk cache."""
