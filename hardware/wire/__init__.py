"""What host and worker say to each other: plain data, readable without TVM."""
