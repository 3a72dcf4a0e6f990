"""Labels of other tools -> COCO keypoints, which training and evaluation read."""
