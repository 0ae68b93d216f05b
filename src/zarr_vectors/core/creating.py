"""Creating a store: a valid shell without vertices, to be filled by a writer or chunk by chunk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from zarr_vectors.constants import (
    CHECKSUM_KEY,
    DECLARED_KEY,
    DEFAULT_REDUCTION_FACTOR,
    SHELL_KEY,
    VALID_CAPABILITIES,
    VALID_VERTEX_ENCODINGS,
    VERTICES,
)
from zarr_vectors.core.given import as_document, as_names, as_whole
from zarr_vectors.core.group import Group
from zarr_vectors.core.handle import StoreHandle
from zarr_vectors.exceptions import ArgumentError, MetadataError, StoreExistsError
from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.axes import AxesLike, make_axes
from zarr_vectors.model.cells import Cells, Fragments
from zarr_vectors.model.grid import Grid, as_shape
from zarr_vectors.model.metadata import Bounds, LevelEntry, LevelMetadata, RootMetadata
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, parse_document
from zarr_vectors.storage.port import Storage, get_one, list_folder
from zarr_vectors.storage.replace import begin_replacement, is_unfinished, is_vacant
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.storage.versioned import gathering
from zarr_vectors.write.changing import hold_place
from zarr_vectors.write.level import write_level
from zarr_vectors.write.options import WriteOptions
from zarr_vectors.write.store import write_root

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
    return Group.at(StoreHandle(storage, StoreReader.open(storage)))


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


def empty_cells(sid_ndim: int, dtype: np.dtype[Any], ndim: int | None = None) -> Cells:
    """Return the cells of a level without vertices.

    Parameters
    ----------
    sid_ndim : int
        Components of a chunk coordinate.
    dtype : numpy.dtype
        Float type of the positions.
    ndim : int, optional
        Columns of the positions, where they are fewer than the components of a chunk.
    """
    none = np.zeros(0, np.int64)
    start = np.zeros(1, np.int64)
    return Cells(
        chunks=np.zeros((0, sid_ndim), np.int64),
        row_offsets=start,
        positions=np.zeros((0, ndim or sid_ndim), dtype),
        fragments=Fragments(start, none, none),
    )


def _stamp_encoding(storage: Storage, level: str, encoding: str) -> None:
    address = f"{level}/{VERTICES}/{DOCUMENT_NAME}"
    blob = get_one(storage, address)
    assert blob is not None
    document = parse_document(blob, address)
    document["attributes"]["encoding"] = encoding
    storage.put_many([(address, document_bytes(document))])


def write_empty_level(
    storage: Storage,
    revision: Revision,
    root: RootMetadata,
    level: LevelMetadata,
    dtype: np.dtype[Any],
    *,
    checksum: bool,
) -> None:
    """Write a level that has its metadata and the two empty vertex arrays."""
    options = WriteOptions.parse(format_version=revision.name, compressor="zstd", shard_shape=None, checksum=checksum)
    leading = level.leads(root.ndim)
    cells = empty_cells(root.ndim + leading, dtype, root.ndim)
    write_level(storage, revision, root, replace(level, fragments_tile=True), cells, options.layout)
