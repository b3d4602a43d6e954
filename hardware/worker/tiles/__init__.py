"""Register tiles inside the worker: which a layer needs, which won, and their trial."""
