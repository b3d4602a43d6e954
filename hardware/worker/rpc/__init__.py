"""The worker's way to a board: compile and link here, run and time there."""
