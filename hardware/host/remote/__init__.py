"""Boards over TVM RPC as a device, seen from the command's own process."""
