"""Revision 0.7: per-chunk arrays are groups of one tiny Zarr array per chunk."""
