"""python -m tools.fit_responses --rows FILE: measure drawn networks, or go on, and fit a prior."""

import sys

from tools.fit_responses.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
