"""What a command shows and how it ends: progress, one-sentence errors, exit codes, signals."""
