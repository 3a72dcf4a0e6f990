"""posekit beside rtmlib and transformers' ViTPose, on the same weights; see `__main__`."""
