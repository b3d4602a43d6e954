"""Starts `experiments.boards.command`."""

import sys

from experiments.boards.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
