"""Tests of zarr-vectors."""
