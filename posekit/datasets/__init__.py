"""Labelled images: annotation files, their checks, and the samples made from them."""
