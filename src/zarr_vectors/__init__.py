"""Points, lines, graphs and meshes of any size in chunked, multiscale Zarr v3 stores."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("zarr-vectors")
