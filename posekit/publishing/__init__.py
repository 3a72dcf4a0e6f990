"""Models to the Hub, and from it ahead of time."""
