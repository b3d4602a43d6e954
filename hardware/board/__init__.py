"""The board's side: serves TVM RPC, and tells what the board is and how it feels.

It imports the standard library, numpy, TVM and `hardware.runtime.linked` alone, and runs on Python
3.10, so that it can be packed into one file and copied to a board.
"""
