"""python -m tools.train_policy --weights FILE.safetensors: train the token policy."""

import sys

from tools.train_policy.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
