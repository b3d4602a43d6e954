"""A model of cores that nobody has here: cycles that LLVM's model says a kernel takes."""
