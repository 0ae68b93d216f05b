"""Revision 0.9 of the format: one array over the grid of chunks, sharded or not."""
