"""Objective of a task: the loss and the metric that its configuration names."""
