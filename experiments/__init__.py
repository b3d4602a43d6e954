"""What people type: run, evaluate, bench, and the run folder they write."""
