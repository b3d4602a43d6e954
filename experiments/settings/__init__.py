"""The configuration: its tree, its dotted keys, how files and flags are read."""
