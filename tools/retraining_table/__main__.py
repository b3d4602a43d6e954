"""python -m tools.retraining_table --json FILE: measure the table, or go on with it."""

import sys

from tools.retraining_table.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
