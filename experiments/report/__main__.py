"""Starts `experiments.report.command`."""

import sys

from experiments.report.command import main

sys.exit(main(sys.argv[1:]))
