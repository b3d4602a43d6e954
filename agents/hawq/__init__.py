"""HAWQ-V3: Hessian traces and an integer program."""
