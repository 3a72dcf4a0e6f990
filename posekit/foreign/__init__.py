"""Models of MMPose and MMDetection, used as they are: configurations are read, never run."""
