"""Products of two computed tensors, as those of an attention."""
