"""Kernels of sums of products: convolutions, matrix products, depthwise layers."""
