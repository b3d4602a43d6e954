"""Data as they are written down: JSON forms, whole files, ranges of settings."""
