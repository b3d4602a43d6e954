"""Engines that run one network each in their own way, to be timed beside each other."""
