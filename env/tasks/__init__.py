"""Tasks: a data set, a network, and how its float version is trained."""
