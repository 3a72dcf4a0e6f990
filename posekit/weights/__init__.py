"""Weights from files, URLs and the Hub into networks, with a cache."""
