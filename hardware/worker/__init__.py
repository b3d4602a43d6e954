"""The worker's side: a process of its own that loads TVM and can be killed."""
