"""The time of engines and stages on this machine: `posekit bench` and `posekit.bench`."""
