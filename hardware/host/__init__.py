"""The host's side: runs in the command's own process, and never loads TVM."""
