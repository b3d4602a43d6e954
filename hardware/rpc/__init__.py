"""Boards over TVM RPC, seen from the host."""
