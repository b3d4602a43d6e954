"""Training at the chosen bits: finetuning, compensated rounding, and what is still right."""
