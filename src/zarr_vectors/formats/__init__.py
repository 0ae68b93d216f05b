"""Cells ⇄ blobs and model ⇄ JSON: one sub-folder per format revision, and the table that tells them apart."""
