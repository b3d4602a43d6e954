"""Jobs: what may be asked for, whose turn it is, and the processes that do it."""
