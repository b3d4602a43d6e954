"""Methods that solve once: MCKP, HAWQ-V3, OMPQ, and their solvers."""
