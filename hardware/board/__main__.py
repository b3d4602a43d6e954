"""python -m hardware.board: serve this machine as a board."""

import sys

from hardware.board.command import main

if __name__ == "__main__":
    sys.exit(main())
