"""The service's clients: from Python, and from a terminal."""
