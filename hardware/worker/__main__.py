"""Starts `hardware.worker.process`."""

import sys

from hardware.worker.process import main

main(int(sys.argv[1]), int(sys.argv[2]))
