"""Starts `experiments.allocate.command`."""

import sys

from experiments.allocate.command import main

sys.exit(main(sys.argv[1:]))
