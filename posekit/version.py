"""The version of posekit."""

__version__ = "0.1.0"
