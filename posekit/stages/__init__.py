"""What happens to a frame: detect, estimate, track, smooth, lift."""
