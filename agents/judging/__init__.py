"""What every method may share: a posterior that answers, and a race of the best at the end."""
