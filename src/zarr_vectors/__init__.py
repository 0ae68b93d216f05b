"""Points, lines, graphs and meshes of any size in chunked, multiscale Zarr v3 stores.

Here are the functions on a store as a whole (``create_store``, ``open_store``, ``rebind``, ``migrate``), its
groups (``Group``), the metadata dataclasses, the commonest constants of the format and the exceptions. Geometry is
written and read by kind in ``zarr_vectors.types``; ``zarr_vectors.multiresolution.coarsen`` builds levels of detail
and ``zarr_vectors.validate`` checks a store. What needs a storage library is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from zarr_vectors.constants import (
    CAP_FRAGMENT_INDEX,
    CAP_MULTISCALE_LINKS,
    CAP_PRESERVED_OBJECT_IDS,
    CAP_SHARED_FRAGMENTS,
    DEFAULT_AXES_NAMES,
    GEOMETRY_TYPES,
    LINKS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    VALID_XLEVEL_STORAGE,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.exceptions import (
    ArgumentError,
    ArrayError,
    IncompleteStoreError,
    LossWarning,
    MetadataError,
    MissingExtraError,
    OutOfBoundsError,
    PrecisionWarning,
    ReadOnlyStoreError,
    ShapeError,
    StaleLevelWarning,
    StoreChangedError,
    StoreError,
    StoreExistsError,
    StoreLockedError,
    StoreNotFoundError,
    UnknownNameError,
    UnsupportedFeatureError,
    ZarrVectorsError,
)
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.model.axes import NgffAxis
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata

if TYPE_CHECKING:
    from zarr_vectors import validate
    from zarr_vectors.core.group import FsGroup, Group
    from zarr_vectors.core.store import create_store, open_store, rebind, shard_store, unshard_store
    from zarr_vectors.lazy.level import ZVLevel
    from zarr_vectors.lazy.writer import ZVWriter
    from zarr_vectors.migration import migrate
    from zarr_vectors.rechunking.rebinning import rebin_store
    from zarr_vectors.rechunking.running import rechunk, rechunk_by_attribute
    from zarr_vectors.rechunking.spec import RechunkSpec
    from zarr_vectors.storage.backend import StorageBackend
    from zarr_vectors.storage.resolve import detect_scheme

__version__ = version("zarr-vectors")

__all__ = [
    "CAP_FRAGMENT_INDEX",
    "CAP_MULTISCALE_LINKS",
    "CAP_PRESERVED_OBJECT_IDS",
    "CAP_SHARED_FRAGMENTS",
    "DEFAULT_AXES_NAMES",
    "GEOMETRY_TYPES",
    "LINKS",
    "OBJECT_ATTRIBUTES",
    "OBJECT_INDEX",
    "VALID_XLEVEL_STORAGE",
    "VERTEX_ATTRIBUTES",
    "VERTEX_FRAGMENTS",
    "VERTICES",
    "ArgumentError",
    "ArrayError",
    "AttributeSpec",
    "FsGroup",
    "Group",
    "IncompleteStoreError",
    "LevelMetadata",
    "LossWarning",
    "MetadataError",
    "MissingExtraError",
    "NgffAxis",
    "OutOfBoundsError",
    "PrecisionWarning",
    "ReadOnlyStoreError",
    "RechunkSpec",
    "RootMetadata",
    "ShapeError",
    "StaleLevelWarning",
    "StorageBackend",
    "StoreChangedError",
    "StoreError",
    "StoreExistsError",
    "StoreLockedError",
    "StoreNotFoundError",
    "UnknownNameError",
    "UnsupportedFeatureError",
    "ZVLevel",
    "ZVWriter",
    "ZarrVectorsError",
    "__version__",
    "create_store",
    "detect_scheme",
    "migrate",
    "open_store",
    "rebin_store",
    "rebind",
    "rechunk",
    "rechunk_by_attribute",
    "shard_store",
    "unshard_store",
    "validate",
]

_LAZY = {
    "FsGroup": "zarr_vectors.core.group",
    "Group": "zarr_vectors.core.group",
    "RechunkSpec": "zarr_vectors.rechunking.spec",
    "StorageBackend": "zarr_vectors.storage.backend",
    "ZVLevel": "zarr_vectors.lazy.level",
    "ZVWriter": "zarr_vectors.lazy.writer",
    "create_store": "zarr_vectors.core.store",
    "detect_scheme": "zarr_vectors.storage.resolve",
    "migrate": "zarr_vectors.migration",
    "open_store": "zarr_vectors.core.store",
    "rebin_store": "zarr_vectors.rechunking.rebinning",
    "rebind": "zarr_vectors.core.store",
    "rechunk": "zarr_vectors.rechunking.running",
    "rechunk_by_attribute": "zarr_vectors.rechunking.running",
    "shard_store": "zarr_vectors.core.store",
    "unshard_store": "zarr_vectors.core.store",
}
"""Modules of the public names that are imported on first use (PEP 562)."""


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name == "validate":  # a package, which can be called
        return import_module("zarr_vectors.validate")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names with the submodules that are loaded."""
    return sorted({*globals(), *__all__})
