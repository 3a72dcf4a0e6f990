"""What engines and stages take on this machine: `posekit bench` and `posekit.bench`."""
