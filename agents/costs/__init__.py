"""What bits cost a method, and how it stays inside the budget."""
