"""A model of the environment to practise on, corrected by every real evaluation."""
