"""Models of MMPose and MMDetection as they are: their configurations, read and never run."""
