"""What the methods that solve once share: the problem, its prices, and its solvers."""
