"""Stores larger than memory: opened without reading, read in parts, chunk after chunk, object by object."""

from zarr_vectors.lazy.chunks import ZVChunk
from zarr_vectors.lazy.dataset import ZVDataset, aopen_zv, open_zv
from zarr_vectors.lazy.level import ZVLevel

__all__ = ["ZVChunk", "ZVDataset", "ZVLevel", "aopen_zv", "open_zv"]
