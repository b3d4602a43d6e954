"""Writing TensorIR from Python: what every kernel repeats."""
