"""Pictures of poses: over the image, in 3D, and in a window."""
