"""Pages for people: jobs, where they can run, and a run as it goes on. They load nothing else."""
