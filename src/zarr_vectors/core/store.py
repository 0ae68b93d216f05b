"""Opening and creating stores, and what is done to a store as a whole.

The documented home of the store functions; each is a thin door over the layers below.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    CHECKSUM_KEY,
    DECLARED_KEY,
    DEFAULT_REDUCTION_FACTOR,
    PARAMETRIC,
    SHELL_KEY,
    VALID_CAPABILITIES,
    VALID_VERTEX_ENCODINGS,
    VERTICES,
)
from zarr_vectors.core.arguments import as_document, as_names, as_whole
from zarr_vectors.core.bounds import set_bounds
from zarr_vectors.core.chunks import ChunkStore, open_for_changes
from zarr_vectors.core.group import FsGroup, Group
from zarr_vectors.core.handle import put_right
from zarr_vectors.core.multiscale import (
    add_resolution_level,
    create_resolution_level,
    get_resolution_level,
    list_available_ratios,
    list_resolution_levels,
    read_level_metadata,
    read_root_metadata,
    remove_resolution_level,
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
from zarr_vectors.exceptions import ArgumentError, MetadataError, StoreExistsError, UnknownNameError
from zarr_vectors.formats.parametric import TYPES_KEY, parse_types, types_document
from zarr_vectors.model.axes import AxesLike, make_axes
from zarr_vectors.model.grid import Grid, as_shape
from zarr_vectors.model.metadata import Bounds, LevelEntry, LevelMetadata, RootMetadata
from zarr_vectors.model.parametric import ParametricTypeDef
from zarr_vectors.read.opening import open_storage
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.consolidated import consolidate, without_consolidated
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, parse_document
from zarr_vectors.storage.guarded import for_reading
from zarr_vectors.storage.journal import Transaction
from zarr_vectors.storage.lock import lock
from zarr_vectors.storage.port import Storage, get_one, list_folder, put_one
from zarr_vectors.storage.replace import begin_replacement, is_unfinished, is_vacant, recover
from zarr_vectors.storage.resolve import detect_scheme, resolve_storage
from zarr_vectors.storage.versioned import gathering, versions_of
from zarr_vectors.write.changing import hold_place, require_changeable
from zarr_vectors.write.level import empty_cells, write_level
from zarr_vectors.write.options import WriteOptions
from zarr_vectors.write.store import write_root

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
        return Group.at(ChunkStore(reader.storage, reader))
    storage = gathering(storage)
    handle = ChunkStore(storage)
    handle.check_writable()
    put_right(storage)
    reader = StoreReader.open(storage)
    require_changeable(reader)
    return Group.at(ChunkStore(storage, reader))


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


DEFAULT_EXTENT = 128.0
DEFAULT_NDIM = 3


def create_store(
    path: Any,
    *,
    bounds: tuple[Sequence[float], Sequence[float]] | None = None,
    chunk_shape: float | Sequence[float] | None = None,
    axes: AxesLike | None = None,
    geometry_types: Sequence[str] | None = None,
    crs: Mapping[str, Any] | None = None,
    ndim: int | None = None,
    vertex_dtype: str = "float32",
    vertex_encoding: str = "raw",
    links_convention: str | None = None,
    object_index_convention: str | None = None,
    cross_chunk_strategy: str | None = None,
    cross_level_depth: int | None = None,
    cross_level_storage: str | None = None,
    reduction_factor: int | None = None,
    base_bin_shape: float | Sequence[float] | None = None,
    format_capabilities: Sequence[str] | None = None,
    format_version: str = "0.9",
    checksum: bool = True,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> Group:
    """Create a store without vertices: root metadata, level 0, and its empty vertex arrays.

    What is said of the store here holds for everything that is written to it: positions must lie in the bounds unless
    they are grown (``out_of_bounds="expand"``, :func:`~zarr_vectors.core.store.set_bounds`), and writers refuse other
    chunk shapes, axes, coordinate systems and conventions.

    Parameters
    ----------
    path : str, path, zarr Store or Storage
        Where; nothing may be there, or an empty folder.
    bounds : pair of (D,) sequences, optional
        Lower and upper corner; 0 to 128 on every axis by default.
    chunk_shape : float or (D,) sequence of float, optional
        Edge lengths of a chunk; by default those of the bounds, which are then one chunk large.
    axes : sequence of NgffAxis, mapping or str, optional
        One per column of the positions; x, y, z, w by default.
    geometry_types : sequence of str, optional
        What the store will hold.
    crs : mapping, optional
        Coordinate reference system.
    ndim : int, optional
        Number of dimensions, for when nothing else says it; 3 by default.
    vertex_dtype : str
        Float type of the positions.
    vertex_encoding : {"raw", "draco"}
        How cells of vertices are encoded.
    links_convention, object_index_convention, cross_chunk_strategy : str, optional
        Conventions of the format; the first writer settles what is left out.
    cross_level_depth : int, optional
        Largest level difference with links that ``build_pyramid`` stores when it is not told otherwise; 0 stores none,
        -1 all adjacent pairs.
    cross_level_storage : {"none", "implicit", "explicit"}, optional
        Which links across levels a pyramid stores; where only a depth is given, both ways.
    reduction_factor : int, optional
        Vertex-count fold of a step of a pyramid that is built without factors; 8 by default.
    base_bin_shape : float or (D,) sequence of float, optional
        Edge lengths of a bin; those of a chunk by default, unless the first writer is given a `bin_shape`.
    format_capabilities : sequence of str, optional
        Capability tokens (``zarr_vectors.constants.CAP_*``).
    format_version : {"0.9", "0.7"}
        Revision of the format.
    checksum : bool
        Whether chunks and tables are stored with checksums, by which readers notice damage.
    backend : str, optional
        Library to use for the storage.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    Group
        The root, open for reading and writing.

    Raises
    ------
    StoreExistsError
        Something is at the path already. It is a ``StoreError``.
    MetadataError
        The arguments disagree on the number of dimensions, or what the metadata would hold is not what the format
        takes: shapes, bounds, axes, conventions, the coordinate system.
    ArgumentError
        The revision, the data type or the encoding is not known.
    """
    options = WriteOptions.parse(format_version=format_version, compressor="zstd", shard_shape=None, checksum=checksum)
    if vertex_encoding not in VALID_VERTEX_ENCODINGS:
        raise ArgumentError(
            f"vertex_encoding: expected one of {', '.join(VALID_VERTEX_ENCODINGS)}, got {vertex_encoding!r}"
        )
    dtype = _float_type(vertex_dtype)
    storage = resolve_storage(path, mode="w-", backend=backend, **backend_kwargs)  # type: ignore[arg-type]
    storage = gathering(storage)
    _refuse_existing(storage)
    try:
        count = _agreed_ndim(ndim, bounds, chunk_shape, axes, base_bin_shape)
        corners = _corners(bounds, count)
        root = RootMetadata(
            zv_version=options.revision.stamp,
            axes=make_axes(count, axes),
            chunk_shape=as_shape("chunk_shape", chunk_shape, count) or _edges(corners),
            bounds=corners,
            geometry_types=as_names("geometry_types", geometry_types or ()),
            base_bin_shape=as_shape("base_bin_shape", base_bin_shape, count),
            links_convention=links_convention,
            object_index_convention=object_index_convention,
            cross_chunk_strategy=cross_chunk_strategy,
            crs=None if crs is None else as_document("crs", crs),
            reduction_factor=_whole("reduction_factor", reduction_factor, None, 2) or DEFAULT_REDUCTION_FACTOR,
            cross_level_depth=_whole("cross_level_depth", cross_level_depth, None, -1),
            cross_level_storage=cross_level_storage,
            format_capabilities=_capabilities(format_capabilities),
            name=storage.name,
        )
        Grid(root.chunk_shape, root.base_bin_shape).require_nesting()
    except ArgumentError as error:
        raise MetadataError(str(error)) from error
    with hold_place(storage):
        _refuse_existing(storage)
        _write_shell(storage, root, options, dtype, vertex_encoding)
    return Group.at(ChunkStore(storage, StoreReader.open(storage)))


def _float_type(name: Any) -> np.dtype[Any]:
    if name is None:  # NumPy takes it for float64
        raise ArgumentError("vertex_dtype: expected float16, float32 or float64, got None")
    try:
        dtype: np.dtype[Any] = np.dtype(name)
    except TypeError as error:
        raise ArgumentError(f"vertex_dtype: {name!r} is not a data type") from error
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise ArgumentError(f"vertex_dtype: vertices are float16, float32 or float64, got {name!r}")
    return dtype


def _agreed_ndim(ndim: int | None, bounds: Any, chunk_shape: Any, axes: Any, base_bin_shape: Any) -> int:
    """Return the number of dimensions that the arguments agree on; a number alone stands for any."""
    said: dict[str, int] = {} if ndim is None else {"ndim": as_whole("ndim", ndim, at_least=1)}
    if bounds is not None:
        low, high = _pair(bounds)
        said |= {"the lower bounds": len(low), "the upper bounds": len(high)}
    shapes = {"chunk_shape": chunk_shape, "base_bin_shape": base_bin_shape}
    listed = {name: shape for name, shape in shapes.items() if shape is not None and not isinstance(shape, Real)}
    if axes is not None:
        listed["axes"] = axes
    for name, values in listed.items():
        try:
            said[name] = len(values)
        except TypeError:
            raise MetadataError(f"{name}: expected one entry per axis, got {values!r}") from None
    if len(set(said.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in said.items())
        raise MetadataError(f"the arguments disagree on the number of dimensions: {counts}")
    return next(iter(said.values()), DEFAULT_NDIM)


def _pair(bounds: Any) -> tuple[Any, Any]:
    try:
        low, high = bounds
        len(low), len(high)
    except (TypeError, ValueError):
        raise MetadataError(f"bounds: expected a pair of corners, lower and upper, got {bounds!r:.80}") from None
    return low, high


def _corners(bounds: Any, ndim: int) -> Bounds:
    if bounds is None:
        return (0.0,) * ndim, (DEFAULT_EXTENT,) * ndim
    try:
        low, high = (tuple(float(value) for value in corner) for corner in _pair(bounds))
    except (TypeError, ValueError, OverflowError) as error:
        raise MetadataError(f"bounds: expected corners of {ndim} numbers, got {bounds!r:.80} ({error})") from error
    if not all(map(math.isfinite, (*low, *high))):
        raise MetadataError(f"bounds: expected finite numbers, got {low} and {high}")
    if any(first > last for first, last in zip(low, high, strict=True)):
        raise MetadataError(f"bounds: must not be reversed, got {low} as the lower corner and {high} as the upper")
    return low, high


def _whole(name: str, value: Any, default: int | None, at_least: int) -> int | None:
    return default if value is None else as_whole(name, value, at_least=at_least)


def _edges(bounds: Bounds) -> tuple[float, ...]:
    return tuple(high - low or 1.0 for low, high in zip(*bounds, strict=True))


def _capabilities(tokens: Sequence[str] | None) -> tuple[str, ...]:
    given = as_names("format_capabilities", tokens or ())
    unknown = sorted(set(given) - set(VALID_CAPABILITIES))
    if unknown:
        raise MetadataError(f"format_capabilities: {unknown} are not among {list(VALID_CAPABILITIES)}")
    return tuple(dict.fromkeys(given))


def _refuse_existing(storage: Storage) -> None:
    if is_vacant(storage) or is_unfinished(storage):
        return
    listing = list_folder(storage)
    found = ", ".join([*listing.folders, *listing.files][:5])
    raise StoreExistsError(
        f"{storage.url}: something is there already ({found}); open it with open_store, or choose another path"
    )


def _write_shell(
    storage: Storage, root: RootMetadata, options: WriteOptions, dtype: np.dtype[Any], encoding: str
) -> None:
    ones = (1.0,) * root.ndim
    root = root.with_level(LevelEntry(0, ones, root.base_bin))
    level = LevelMetadata(level=0, bin_shape=root.base_bin_shape, bin_ratio=ones, fragments_tile=True)
    with begin_replacement(storage) as replacement:
        staging = replacement.staging
        cells = empty_cells(root.ndim, dtype)
        write_level(staging, options.revision, root, level, cells, options.layout)
        if encoding != "raw":
            _stamp_encoding(staging, "0", encoding)
        declared = True if options.layout.checksum else {CHECKSUM_KEY: False}
        write_root(staging, options.revision, root, {SHELL_KEY: True, DECLARED_KEY: declared})


def _stamp_encoding(storage: Storage, level: str, encoding: str) -> None:
    address = f"{level}/{VERTICES}/{DOCUMENT_NAME}"
    blob = get_one(storage, address)
    assert blob is not None
    document = parse_document(blob, address)
    document["attributes"]["encoding"] = encoding
    storage.put_many([(address, document_bytes(document))])


def consolidate_metadata(path: Any, *, remove: bool = False, backend: str | None = None, **backend_kwargs: Any) -> int:
    """Put copies of the metadata of all nodes into the root's, in the form of zarr-python 3.

    A store is then opened by reading one document more than the root and three of the level asked for, which are
    compared with their copies: where they differ the copies are not used. Worthwhile for stores that are finished
    and read from afar, and needed by stores of many folders behind plain HTTP, which cannot be listed. Whatever
    this package changes in a store removes the copies first.

    Parameters
    ----------
    path : str, path, Group or zarr Store
        The store.
    remove : bool
        Remove the copies instead.
    backend : str, optional
        Library to use for the storage.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    int
        Number of nodes copied; 0 where the copies were removed.

    Raises
    ------
    StoreNotFoundError, StoreError
        No store is there, or the storage cannot list what it holds.
    ReadOnlyStoreError
        The store was opened for reading.
    StoreLockedError
        Another writer holds it.
    """
    handle = open_for_changes(path, backend, backend_kwargs)
    storage = handle.storage
    StoreReader.open(storage)
    try:
        if not remove and versions_of(storage) is not None:
            return consolidate(storage)
        with lock(storage):
            recover(storage)
            with Transaction(storage, keeps_consolidated=True) as staged:
                if not remove:
                    return consolidate(staged)
                stripped = without_consolidated(staged)
                if stripped is not None:
                    put_one(staged, DOCUMENT_NAME, stripped)
        return 0
    finally:
        handle.forget_consolidated()


PARAMETRIC_TYPES_KEY = TYPES_KEY


def get_parametric_group(root: Group) -> Group:
    """Return the group of parametric objects, made where it is not there.

    Raises
    ------
    UnknownNameError
        It is not there, and the store was opened for reading.
    """
    if not root.read_only:
        return Group.at(root.handle).create_group(PARAMETRIC)
    if not root.handle.group_exists(PARAMETRIC):
        raise UnknownNameError(
            f"{root.handle.storage.url}: there are no parametric objects; open the store with mode='r+' to add some"
        )
    return _group(root)


def _group(root: Group) -> Group:
    return Group.at(root.handle, PARAMETRIC)


def read_parametric_types(root: Group) -> list[ParametricTypeDef]:
    """Return the types of parametric objects, by ascending id; none where there are no such objects.

    Raises
    ------
    MetadataError
        The registry is malformed.
    """
    return list(parse_types(_group(root).attrs.to_dict(), root.handle.storage.url))


def write_parametric_types(root: Group, types: Iterable[ParametricTypeDef]) -> None:
    """Write the registry of types anew; other attributes of the group stay.

    Parameters
    ----------
    root : Group
        Root of a store opened with ``mode="r+"``.
    types : iterable of ParametricTypeDef
        All types.

    Raises
    ------
    ArgumentError
        Two types have one id.
    ReadOnlyStoreError
        The store was opened for reading.
    """
    root.handle.require_writable()
    get_parametric_group(root).attrs[PARAMETRIC_TYPES_KEY] = types_document(types)
