"""MMPose's own interfaces on posekit; `posekit.apis` has them under one name."""
