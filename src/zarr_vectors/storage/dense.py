"""Ordinary dense Zarr v3 arrays: made and taken apart by zarr-python in memory, without any request.

Encoding gives the documents and blobs to be put; decoding takes a metadata document that is at hand and the
blobs of just those Zarr chunks that the wanted rows meet.
"""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import zarr
import zarr.storage
from zarr.core.array import AsyncArray
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.errors import UnknownCodecError, UnstableSpecificationWarning

from zarr_vectors.exceptions import ArgumentError, ArrayError, MetadataError, UnsupportedFeatureError
from zarr_vectors.storage.documents import DOCUMENT_NAME
from zarr_vectors.storage.port import Blob, Range, join
from zarr_vectors.typing import AnyArray, Document, IntArray

Rows: TypeAlias = slice | Sequence[int] | AnyArray
"""Which entries of axis 0 are wanted; integers may repeat and need not be sorted."""

_DAMAGE = (
    ValueError,
    RuntimeError,
    TypeError,
    IndexError,
    KeyError,
    OSError,
    EOFError,
    OverflowError,
    AssertionError,
    MemoryError,
    zlib.error,
    zarr.errors.BaseZarrError,
)
"""What codecs raise on damaged data."""

MAX_CHUNKS = 2**22
"""Most Zarr chunks of an array that are believed, so that a number in a document costs no memory."""

FILL_ALLOWANCE = 2**28
"""Bytes of fill value that are made up for rows without a stored chunk, however few bytes are stored."""

LARGEST_RATIO = 2**15
"""Bytes that are believed to come out of each stored byte: no compressor here does better."""


def encode_dense(
    path: str,
    values: AnyArray,
    *,
    chunks: Sequence[int],
    fill_value: Any = None,
    codecs: Sequence[Document] = (),
    attributes: Document | None = None,
) -> list[tuple[str, bytes]]:
    """Encode a whole array.

    Parameters
    ----------
    path : str
        Address of the array.
    values : ndarray
        Numbers, booleans or NumPy fixed-width strings (stored as ``fixed_length_utf32``), any shape.
    chunks : sequence of int
        Zarr chunk shape, one positive number an axis.
    fill_value : optional
        Value of what is not stored. ``None`` means the zero of the data type.
    codecs : sequence of dict
        Documents of bytes → bytes codecs, applied after ``bytes`` in little-endian order; empty for none.
    attributes : dict, optional
        Attributes of the array.

    Returns
    -------
    list of (str, bytes)
        Addresses and data, the metadata document first. Zarr chunks that hold nothing but the fill value
        are left out.

    Raises
    ------
    ArgumentError
        The data type cannot be stored, or the chunk shape does not fit.
    """
    array = np.asarray(values)
    if len(chunks) != array.ndim or any(extent < 1 for extent in chunks):
        raise ArgumentError(
            f"array {path!r} of shape {array.shape} cannot have Zarr chunks {tuple(chunks)}: "
            f"give one positive number for each of its {array.ndim} axes"
        )
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    kept: dict[str, Buffer] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        try:
            target = zarr.create_array(
                zarr.storage.MemoryStore(kept),
                shape=array.shape,
                dtype=array.dtype,
                chunks=tuple(map(int, chunks)),
                fill_value=fill_value,
                compressors=[dict(codec) for codec in codecs] or None,
                filters=None,
                attributes=attributes or {},
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise ArgumentError(f"array {path!r} of type {array.dtype} cannot be stored: {error}") from error
        if array.size:
            target[...] = array
    first = [(join(path, DOCUMENT_NAME), kept.pop(DOCUMENT_NAME).to_bytes())]
    return first + [(join(path, key), kept[key].to_bytes()) for key in sorted(kept)]


def dense_requests(document: Document, path: str, rows: Rows | None = None) -> list[Range]:
    """Name the Zarr chunks (or shards) that hold the wanted rows.

    Parameters
    ----------
    document : dict
        The array's ``zarr.json``.
    path : str
        Address of the array.
    rows : slice or sequence of int, optional
        Entries of axis 0 that are wanted; all by default.

    Returns
    -------
    list of Range
        Whole objects, in C order of their chunks; what `decode_dense` wants for the same rows.

    Raises
    ------
    MetadataError, UnsupportedFeatureError
        The document does not describe an array that can be read.
    ArgumentError
        A row lies outside the array.
    """
    metadata = _metadata(document)
    return [Range(join(path, key)) for key in _keys(metadata, _wanted(metadata, rows))]


def decode_dense(
    document: Document, blobs: Sequence[Blob | None], rows: Rows | None = None, *, path: str = ""
) -> AnyArray:
    """Decode the wanted rows of an array.

    Parameters
    ----------
    document : dict
        The array's ``zarr.json``.
    blobs : sequence
        The answers to ``dense_requests(document, path, rows)``; ``None`` stands for the fill value.
    rows : slice or sequence of int, optional
        Entries of axis 0 that are wanted; all by default.
    path : str, optional
        Address of the array, for messages.

    Returns
    -------
    ndarray
        Shape ``(number of rows, …)``, in the order asked.

    Raises
    ------
    ArrayError
        A blob is damaged; the message names the array and the chunk.
    """
    metadata = _metadata(document)
    wanted = _wanted(metadata, rows)
    keys = _keys(metadata, wanted)
    if len(keys) != len(blobs):
        raise ArgumentError(f"array {path!r}: {len(keys)} chunks were asked and {len(blobs)} blobs given")
    stored = {key: _buffer(blob) for key, blob in zip(keys, blobs, strict=True) if blob is not None}
    _check_size(metadata, sum(len(buffer) for buffer in stored.values()), wanted, path)
    try:
        return _select(metadata, stored, wanted)
    except _DAMAGE as error:
        broken = _broken(metadata, stored, wanted)
        raise ArrayError(
            f"array {path!r}: {', '.join(broken) or 'its chunks'} cannot be decoded ({error}); "
            f"the data is damaged or was cut short"
        ) from error


def fetch_dense(
    document: Document,
    path: str,
    get: Callable[[Sequence[Range]], Sequence[Blob | None]],
    rows: Rows | None = None,
) -> AnyArray:
    """Fetch and decode the wanted rows of an array in one round of requests.

    Parameters
    ----------
    document : dict
        The array's ``zarr.json``.
    path : str
        Address of the array.
    get : callable
        For example the `get_many` of a storage.
    rows : slice or sequence of int, optional
        Entries of axis 0 that are wanted; all by default.

    Returns
    -------
    ndarray
        As :func:`decode_dense`.
    """
    requests = dense_requests(document, path, rows)
    return decode_dense(document, get(requests) if requests else [], rows, path=path)


def _metadata(document: Document) -> ArrayV3Metadata:
    if document.get("node_type") != "array":
        found = document.get("node_type")
        raise MetadataError(f"an array's metadata was expected, found node_type {found!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        try:
            metadata = ArrayV3Metadata.from_dict(dict(document))
        except UnknownCodecError as error:
            raise UnsupportedFeatureError(f"the array uses a codec that is not known here: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise MetadataError(f"the array's metadata cannot be understood: {error}") from error
    extents = getattr(metadata.chunk_grid, "chunk_shape", None)
    if extents is None or len(extents) != len(metadata.shape) or any(extent < 1 for extent in extents):
        raise MetadataError(f"an array of shape {metadata.shape} cannot have chunks of shape {extents}")
    return metadata


def _wanted(metadata: ArrayV3Metadata, rows: Rows | None) -> slice | IntArray:
    """Give the wanted rows as a slice with step 1, or as int64 numbers that are not negative."""
    if not metadata.shape:
        return slice(0, 1)
    length = metadata.shape[0]
    if rows is None:
        return slice(0, length)
    if isinstance(rows, slice):
        start, stop, step = rows.indices(length)
        return slice(start, max(start, stop)) if step == 1 else np.arange(start, stop, step, dtype=np.int64)
    numbers = np.asarray(rows, dtype=np.int64).reshape(-1)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= length):
        raise ArgumentError(
            f"rows {numbers.min()} to {numbers.max()} were asked of an array that has rows 0 to {length - 1}"
        )
    return numbers


def _keys(metadata: ArrayV3Metadata, wanted: slice | IntArray) -> list[str]:
    """Give the keys, relative to the array, of the chunks that the wanted rows meet."""
    if not metadata.shape:
        return [metadata.encode_chunk_key(())]
    extents = metadata.chunk_grid.chunk_shape  # type: ignore[attr-defined]
    across = [-(-size // extent) for size, extent in zip(metadata.shape[1:], extents[1:], strict=True)]
    if -(-metadata.shape[0] // extents[0]) * math.prod(across) > MAX_CHUNKS:
        raise MetadataError(
            f"an array of shape {metadata.shape} in Zarr chunks of {tuple(extents)} has more chunks than the "
            f"{MAX_CHUNKS} that can be read"
        )
    rest = [range(number) for number in across]
    if isinstance(wanted, slice):
        leading = range(wanted.start // extents[0], -(-wanted.stop // extents[0]))
        if wanted.start == wanted.stop:
            return []
    else:
        leading = np.unique(wanted // extents[0]).tolist()
    return [metadata.encode_chunk_key(place) for place in product(leading, *rest)]


def _check_size(metadata: ArrayV3Metadata, stored: int, wanted: slice | IntArray, path: str) -> None:
    """Refuse rows that take far more memory than what is stored of them can hold."""
    rows = wanted.stop - wanted.start if isinstance(wanted, slice) else len(wanted)
    itemsize = metadata.data_type.to_native_dtype().itemsize
    chunk = math.prod(metadata.chunk_grid.chunk_shape) * itemsize  # type: ignore[attr-defined]
    size = rows * math.prod(metadata.shape[1:]) * itemsize
    allowed = FILL_ALLOWANCE + LARGEST_RATIO * stored
    if size > allowed or (stored and chunk > allowed):
        raise ArrayError(
            f"array {path!r}: its metadata says {size} bytes in Zarr chunks of {chunk}, and {stored} are stored; "
            f"at most {allowed} are read from so few"
        )


def _buffer(blob: Blob) -> Buffer:
    return default_buffer_prototype().buffer.from_bytes(blob)


def _select(metadata: ArrayV3Metadata, stored: Mapping[str, Buffer], wanted: slice | IntArray) -> AnyArray:
    names = [type(codec).__name__ for codec in metadata.codecs]
    end = -4 if names[-1] == "Crc32cCodec" and names.pop() else None
    check = {"BloscCodec": _check_blosc, "ZstdCodec": _check_zstd}.get(names[-1])
    if check is not None:
        for buffer in stored.values():
            check(buffer.to_bytes()[:end])
    path = zarr.storage.StorePath(zarr.storage.MemoryStore(dict(stored), read_only=True))
    array: zarr.Array[Any] = zarr.Array(AsyncArray(metadata, path))
    if not metadata.shape:
        return np.asarray(array[()])
    if isinstance(wanted, slice):
        return np.asarray(array[wanted])
    rows, inverse = np.unique(wanted, return_inverse=True)
    if not rows.size:
        return np.empty((0, *metadata.shape[1:]), dtype=array.dtype)
    return np.asarray(array.oindex[rows])[inverse.reshape(-1)]


def _check_blosc(blob: bytes) -> None:
    """Refuse a Blosc frame that is not as long as its header says: the decoder would read beyond its end.

    Bytes 12 to 16 of the header hold the length of the whole frame, bytes 4 to 8 that of what it decodes to (C-Blosc 1
    chunk format).
    """
    stated = int.from_bytes(blob[12:16], "little")
    if len(blob) != stated:
        raise ValueError(f"Blosc frame of {len(blob)} bytes, where its header says {stated}")
    _check_stated("Blosc", int.from_bytes(blob[4:8], "little"), len(blob))


def _check_zstd(blob: bytes) -> None:
    """Refuse a Zstandard frame that states a size which it cannot decode to (RFC 8878, 3.1.1.1)."""
    if len(blob) < 6 or blob[:4] != b"\x28\xb5\x2f\xfd":
        return
    single_segment = bool(blob[4] & 0x20)
    width = (1 if single_segment else 0, 2, 4, 8)[blob[4] >> 6]
    start = 5 + (not single_segment) + (0, 1, 2, 4)[blob[4] & 3]
    _check_stated("Zstandard", int.from_bytes(blob[start : start + width], "little"), len(blob))


def _check_stated(name: str, size: int, length: int) -> None:
    if size > LARGEST_RATIO * length:
        raise ValueError(f"{name} frame of {length} bytes, where its header says that it decodes to {size}")


def _broken(metadata: ArrayV3Metadata, stored: Mapping[str, Buffer], wanted: slice | IntArray) -> list[str]:
    """Find the chunks that cannot be decoded, one by one."""
    broken = []
    for key, buffer in stored.items():
        try:
            _select(metadata, {key: buffer}, wanted)
        except _DAMAGE:
            broken.append(repr(key))
    return broken
