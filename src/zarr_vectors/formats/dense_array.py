"""Dense arrays of objects and groups: ordinary Zarr arrays, one row per object or group."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.exceptions import MetadataError
from zarr_vectors.formats.documents import attribute_document, parse_attribute, unnamed_channels
from zarr_vectors.formats.layout import Blobs, LevelOptions
from zarr_vectors.formats.objects import DENSE_ROWS_PER_CHUNK, absent_value
from zarr_vectors.model.attributes import TIMES, AttributeSpec, Column
from zarr_vectors.storage.dense import decode_dense, dense_requests, encode_dense
from zarr_vectors.storage.port import Range
from zarr_vectors.typing import AnyArray, Document, IntArray


class ZarrDense:
    """Reading side of a dense array.

    Parameters
    ----------
    path : str
        Path of the array below the root of the store.
    zarr_document : dict
        Its ``zarr.json``.
    """

    def __init__(self, path: str, zarr_document: Document) -> None:
        self.path = path
        self._document = zarr_document
        attributes = zarr_document.get("attributes") or {}
        if not isinstance(attributes, dict):
            raise MetadataError(f"{path}: attributes must be a JSON object, got {type(attributes).__name__}")
        try:
            self.shape = tuple(int(s) for s in zarr_document["shape"])
            data_type = zarr_document["data_type"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise MetadataError(f"{path}: not an array: {type(error).__name__}: {error}") from error
        if len(self.shape) not in (1, 2) or min(self.shape) < 0:
            raise MetadataError(f"{path}: expected shape (n,) or (n, C), got {self.shape}")
        if isinstance(data_type, str):
            dtype = data_type
        else:
            bits = 8 * _length_bytes(data_type, path)
            dtype = f"<U{max(1, bits // 32)}"
        parsed = parse_attribute(attributes, path, dtype=dtype)
        names = parsed.channel_names
        if len(self.shape) == 1:
            names = None
        elif names is None or len(names) != self.shape[1]:
            names = unnamed_channels(self.shape[1], path)
        self.spec = replace(_with_absent(parsed, attributes, zarr_document), channel_names=names)

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def requests(self, rows: IntArray | None) -> list[Range]:
        """Return the Zarr chunks that hold some rows (None: all)."""
        return dense_requests(self._document, self.path, rows)

    def decode(self, blobs: Blobs, rows: IntArray | None) -> AnyArray:
        """Return the values of those rows in stored form."""
        return decode_dense(self._document, list(blobs), rows, path=self.path)  # type: ignore[arg-type]


def _with_absent(spec: AttributeSpec, attributes: Document, document: Document) -> AttributeSpec:
    """Return a spec whose fill is what the array means by "absent" (revision 0.9, object attributes).

    Whole numbers that no writer calls missing are only read as such where a row has the fill.
    """
    fill = document.get("fill_value")
    if spec.fill is not None or attributes.get("fill_sentinel_meaning") != "absent" or spec.encoding in TIMES:
        return spec
    if spec.nullable is False:
        return replace(spec, nullable=None)
    whole = spec.numpy_dtype.kind in "iu" and spec.categories is None and isinstance(fill, int)
    return replace(spec, fill=fill) if whole else spec


def _length_bytes(data_type: Any, path: str) -> int:
    """Return the length of a string of a data type of fixed length, in bytes."""
    settings = data_type.get("configuration") if isinstance(data_type, dict) else None
    length = settings.get("length_bytes", 4) if isinstance(settings, dict) else None
    if not isinstance(length, int) or not 0 < length < 2**31:
        raise MetadataError(f"{path}: data type {data_type!r:.200} is not understood")
    return length


def encode_column(
    path: str, zarr_vectors_array: str, name: str, column: Column, options: LevelOptions
) -> list[tuple[str, bytes]]:
    """Return the objects of a dense attribute array, its metadata last."""
    spec, values = column.spec, column.values
    document = attribute_document(zarr_vectors_array, name, spec) | {"shape": list(values.shape)}
    if values.dtype.kind == "U":
        document["encoding"] = "fixed_length_utf32"
        fill: Any = "" if spec.fill is None else spec.fill
    else:
        fill = absent_value(values.dtype) if spec.fill is None else spec.fill
        # A real value that equals the fill of the array must not be taken for absent by anyone.
        plain = spec.fill is None and values.dtype.kind in "iu" and spec.encoding not in TIMES
        if zarr_vectors_array == "groupings_attribute" or (plain and bool((values == fill).any())):
            fill = 0
        else:
            document["fill_sentinel_meaning"] = "absent"
            document |= {"nullable": False} if plain else {}
    return encode_values(path, values, options, fill, document)


def encode_values(
    path: str, values: AnyArray, options: LevelOptions, fill: object, document: Document
) -> list[tuple[str, bytes]]:
    """Return the objects of a dense array, its metadata last."""
    codecs = options.table_codecs()
    chunks = (DENSE_ROWS_PER_CHUNK, *values.shape[1:])
    little = np.ascontiguousarray(values)
    metadata, *data = encode_dense(path, little, chunks=chunks, fill_value=fill, codecs=codecs, attributes=document)
    return [*data, metadata]
