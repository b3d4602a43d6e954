"""A candidate as a folder that runs elsewhere: this package is copied into it.

Needs numpy and TVM's runtime alone.
"""
