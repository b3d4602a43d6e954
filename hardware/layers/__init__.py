"""Layer tables: what every layer takes at each bit pair. Runs in the command's own process."""
