"""What posekit does on a GPU, in one command: tests, parity, speed, a clip; see `__main__`."""
