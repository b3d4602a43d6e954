"""A float ONNX model as a module that trains: read as data, never as a program."""
