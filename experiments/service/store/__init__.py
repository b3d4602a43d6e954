"""What the service remembers: one SQLite file of jobs, events, tokens, uploads and counters."""
