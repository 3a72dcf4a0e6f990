"""3D keypoints of a person over time -> joint rotations and a root that moves: pure functions.

World axes: x to the right of the image, y up, z towards the camera, right-handed; metres. The
camera stands level at x = z = 0.
"""
