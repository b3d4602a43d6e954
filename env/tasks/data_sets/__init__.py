"""The data sets that a configuration can name, and how their files are read."""
