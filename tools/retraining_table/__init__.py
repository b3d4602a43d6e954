"""What retraining reaches on networks trained elsewhere, beside what else one could do."""
