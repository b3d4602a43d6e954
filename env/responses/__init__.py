"""What evaluations and sensitivities say together of each decision's hidden response."""
