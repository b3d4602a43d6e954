"""What a search costs on many machines, by accounting and by simulation."""
