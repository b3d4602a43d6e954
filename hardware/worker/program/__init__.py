"""From kernels to something that runs: programs, their storage, linking, stamps."""
