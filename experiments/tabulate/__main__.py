"""Starts `experiments.tabulate.command`."""

import sys

from experiments.tabulate.command import main

sys.exit(main(sys.argv[1:]))
