"""What decisions do to the quality together, beyond the sum of what each does alone."""
