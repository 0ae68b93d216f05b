"""Cells to blobs and metadata to documents: which address holds which bytes.

One folder per format revision, and the table by which the revision of a store is detected.
"""
