"""Energy meters and the window they are read in. Imports the standard library alone."""
