"""Streamlines: paths of 50 vertices."""
