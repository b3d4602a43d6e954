"""What runs a linked candidate without a compiler: numpy and TVM's runtime. Bundles hold it."""
