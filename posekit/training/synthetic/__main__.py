"""Writes a data set of drawn people."""

import sys

from posekit.training.synthetic.dataset import main

if __name__ == "__main__":
    sys.exit(main())
