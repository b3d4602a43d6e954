"""Networks in plain torch, with torchvision's names where torchvision has them."""
