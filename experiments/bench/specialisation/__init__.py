"""What it costs to deploy an allocation on another view of hardware than it was made for."""
