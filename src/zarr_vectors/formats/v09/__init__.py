"""Revision 0.9: per-chunk arrays are single Zarr arrays of byte strings, sharded or not."""
