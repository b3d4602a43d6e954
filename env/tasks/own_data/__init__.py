"""The user's own data: arrays of any kind, labels of any kind, channels wherever they are."""
