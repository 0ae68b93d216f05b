"""Opening and creating stores, and what is done to a store as a whole.

The documented home of the store functions; each is a thin door over the layers below.
"""

from __future__ import annotations

from typing import Any

from zarr_vectors.core.bounds import set_bounds
from zarr_vectors.core.consolidation import consolidate_metadata
from zarr_vectors.core.creating import create_store
from zarr_vectors.core.group import FsGroup, Group
from zarr_vectors.core.handle import StoreHandle, put_right
from zarr_vectors.core.levels import (
    add_resolution_level,
    create_resolution_level,
    get_resolution_level,
    list_available_ratios,
    list_resolution_levels,
    remove_resolution_level,
)
from zarr_vectors.core.metadata import read_level_metadata, read_root_metadata
from zarr_vectors.core.parametric import (
    ParametricTypeDef,
    get_parametric_group,
    read_parametric_types,
    write_parametric_types,
)
from zarr_vectors.core.sharding import ShardingSummary, shard_store, unshard_store
from zarr_vectors.core.versions import (
    branch,
    commit,
    discard_changes,
    merge_branch,
    rebase,
    session_for,
    switch_branch,
)
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.read.opening import open_storage
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.guarded import for_reading
from zarr_vectors.storage.resolve import detect_scheme, resolve_storage
from zarr_vectors.storage.versioned import gathering
from zarr_vectors.write.changing import require_changeable

__all__ = [
    "FsGroup",
    "Group",
    "LevelMetadata",
    "ParametricTypeDef",
    "RootMetadata",
    "ShardingSummary",
    "add_resolution_level",
    "branch",
    "commit",
    "consolidate_metadata",
    "create_resolution_level",
    "create_store",
    "detect_scheme",
    "discard_changes",
    "get_parametric_group",
    "get_resolution_level",
    "list_available_ratios",
    "list_resolution_levels",
    "merge_branch",
    "open_store",
    "read_level_metadata",
    "read_parametric_types",
    "read_root_metadata",
    "rebase",
    "rebind",
    "remove_resolution_level",
    "session_for",
    "set_bounds",
    "shard_store",
    "switch_branch",
    "unshard_store",
    "write_parametric_types",
]

MODES = ("r", "r+", "a")


def open_store(path: Any, mode: str = "r", *, backend: str | None = None, **backend_kwargs: Any) -> Group:
    """Open a store that is there.

    Opening for writing first completes a change that was final when it was interrupted, and discards one that
    was not. Opening for reading looks through such a change and leaves everything as it is.

    Parameters
    ----------
    path : str, path, zarr Store, Storage or Group
        The store.
    mode : {"r", "r+", "a"}
        ``"r"`` refuses writes; ``"r+"`` and ``"a"`` allow them.
    backend : str, optional
        Library to use for the storage.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    Group
        The root.

    Raises
    ------
    StoreNotFoundError, StoreError
        Nothing is at the path, or something else.
    MetadataError, UnsupportedFeatureError
        The root metadata cannot be read, or is of a revision that is not known.
    ArgumentError
        The mode or an option is not known.
    """
    if mode not in MODES:
        raise ArgumentError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
    storage = resolve_storage(path, mode=mode, backend=backend, **backend_kwargs)  # type: ignore[arg-type]
    if mode == "r":
        reader = open_storage(for_reading(storage))
        return Group.at(StoreHandle(reader.storage, reader))
    storage = gathering(storage)
    handle = StoreHandle(storage)
    handle.check_writable()
    put_right(storage)
    reader = StoreReader.open(storage)
    require_changeable(reader)
    return Group.at(StoreHandle(storage, reader))


def rebind(group: Group, backend: Any, **backend_kwargs: Any) -> Group:
    """Reach the store of a group through another library; nothing is moved.

    Parameters
    ----------
    group : Group
        Any group; all groups of the same open store change with it.
    backend : str, zarr Store or Storage
        Name of a library (``"local"``, ``"obstore"``, ``"fsspec"``), which opens the same URL, or what holds
        the same store.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    Group
        The same group.

    Raises
    ------
    ArgumentError
        The library does not open this URL.
    StoreError
        There is no store where it leads.
    """
    handle = group.handle
    mode = "r" if handle.read_only else "r+"
    if isinstance(backend, str):
        options = dict(backend_kwargs.pop("storage_options", None) or {}) | backend_kwargs
        storage = resolve_storage(handle.storage.url, mode=mode, backend=backend, **options)  # type: ignore[arg-type]
    else:
        storage = resolve_storage(backend, mode=mode, **backend_kwargs)  # type: ignore[arg-type]
    storage = for_reading(storage) if handle.read_only else gathering(storage)
    StoreReader.open(storage)
    handle.rebind(storage)
    return group
