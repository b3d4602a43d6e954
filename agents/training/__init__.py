"""What methods that train keep on the disk and show in TensorBoard."""
