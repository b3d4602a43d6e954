"""`python -m experiments.compare`."""

import sys

from experiments.compare.command import main

sys.exit(main(sys.argv[1:]))
