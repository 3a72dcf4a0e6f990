"""Metrics of predictions, which take one batch after the other."""
