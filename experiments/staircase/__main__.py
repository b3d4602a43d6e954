"""Starts `experiments.staircase.command`."""

import sys

from experiments.staircase.command import main

sys.exit(main(sys.argv[1:]))
