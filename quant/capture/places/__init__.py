"""Where the values of the user's tensors are in the images of codes that travel."""
