"""What a GPU does with posekit, in one command: tests, parity, speed, a clip. `make gpu` runs it."""
