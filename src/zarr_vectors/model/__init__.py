"""What a dataset is: axes, the grid, attributes, metadata, and its elements and cells; no bytes, no revision."""
