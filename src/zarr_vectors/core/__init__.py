"""The public low-level interface: stores, groups and multiscale metadata."""
