"""Starts `experiments.export.command`."""

import sys

from experiments.export.command import main

sys.exit(main(sys.argv[1:]))
