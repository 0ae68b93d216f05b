"""LAS and LAZ point clouds (extra ``las``).

``read_las`` gives arrays, ``ingest_las`` makes a store, ``export_las`` writes a store's points to a file.
"""

from zarr_vectors.convert.las.ingesting import ingest_las
from zarr_vectors.convert.las.reading import LasPoints, read_las
from zarr_vectors.convert.las.writing import export_las

__all__ = ["LasPoints", "export_las", "ingest_las", "read_las"]
