"""Kernels without products: one code at a time, tables, padding, pooling, concatenation."""
