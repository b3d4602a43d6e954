"""Modelled cycles of kernels on cores that nobody has here, by LLVM's llvm-mca."""
