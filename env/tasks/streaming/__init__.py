"""Streaming: image folders of any size, read while they are trained on."""
