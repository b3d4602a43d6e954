"""Our kernels beside the runtimes that people would pick instead."""
