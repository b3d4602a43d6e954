"""Starts `experiments.bench.command`."""

import sys

from experiments.bench.command import main

sys.exit(main(sys.argv[1:]))
