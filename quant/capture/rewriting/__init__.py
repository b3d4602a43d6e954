"""Operators of an exported program, written as others that are read everywhere."""
