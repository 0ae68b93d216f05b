"""Bytes at addresses: getting, putting, listing and deleting many of them at once.

The only package that imports zarr, obstore and fsspec; it knows nothing of the format.
"""
