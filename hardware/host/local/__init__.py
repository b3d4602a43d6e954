"""This machine as a device, seen from the command's own process."""
