"""Writes a data set of drawn people."""

import sys

from posekit.datasets.synthetic.dataset import main

if __name__ == "__main__":
    sys.exit(main())
