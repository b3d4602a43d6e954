"""From a plan to machine code: targets, compilation, the cache on the disk."""
