"""The ``zarr-vectors`` command."""
