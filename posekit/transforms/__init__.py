"""Pure functions on boxes and images."""
