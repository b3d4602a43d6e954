"""The steps of the main job, from a network to the table of results."""
