"""The tile search: which tiles are tried, and how long; the worker compiles and times them."""
