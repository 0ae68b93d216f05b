"""Object and group tables of revision 0.7: flat byte blobs in tiny arrays (reading side)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from zarr_vectors.exceptions import ArrayError, MetadataError
from zarr_vectors.formats.documents import parse_attribute, unnamed_channels
from zarr_vectors.formats.layout import Blobs
from zarr_vectors.formats.objects import absent_value
from zarr_vectors.formats.v07.tiny_array import decode_tiny, tiny_requests
from zarr_vectors.model.attributes import TIMES, AttributeSpec
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.storage.port import Range
from zarr_vectors.typing import AnyArray, ByteArray, Document, IntArray

_NONCHARACTER = "\U0010ffff"
"""Stands for texts that are absent: no text holds it."""


class BlobColumn:
    """Reading side of an object or group attribute.

    Parameters
    ----------
    path : str
        Path of the attribute's group below the root of the store.
    document : dict
        Its attributes: ``dtype``, ``shape``, ``num_channels``, ``has_present_mask``.
    """

    def __init__(self, path: str, document: Document) -> None:
        self.path = path
        spec = parse_attribute(document, path)
        shape = document.get("shape")
        if not isinstance(shape, list) or len(shape) not in (1, 2) or not all(isinstance(s, int) for s in shape):
            raise MetadataError(f"{path}: shape must be [n] or [n, C], got {shape!r}")
        self.shape: tuple[int, ...] = tuple(shape)
        self._masked = bool(document.get("has_present_mask", False))
        self._stated = spec.fill is not None
        names = spec.channel_names
        if len(shape) == 2 and (names is None or len(names) != shape[1]):
            names = unnamed_channels(shape[1], path)
        self.spec = replace(_nullable(spec) if self._masked else spec, channel_names=names if len(shape) == 2 else None)

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def requests(self, rows: IntArray | None) -> list[Range]:
        """Return the ranges of the blob (and of the mask of present rows): rows are not apart."""
        mask = tiny_requests(f"{self.path}/present_mask") if self._masked else []
        return [*tiny_requests(f"{self.path}/data"), *mask]

    def decode(self, blobs: Blobs, rows: IntArray | None) -> AnyArray:
        """Return the values of some rows; absent ones hold the value that means "absent"."""
        data = decode_tiny(f"{self.path}/data", blobs[0], blobs[1])
        dtype = self.spec.numpy_dtype
        expected = int(np.prod(self.shape, dtype=object)) * dtype.itemsize
        if memoryview(data).nbytes != expected:
            raise ArrayError(f"{self.path}: {memoryview(data).nbytes} bytes, shape {self.shape} needs {expected}")
        values: AnyArray = np.frombuffer(data, dtype).reshape(self.shape)
        if self._masked:
            fill = self.spec.fill if self.spec.fill is not None else absent_value(dtype)
            present = np.frombuffer(decode_tiny(f"{self.path}/present_mask", blobs[2], blobs[3]), np.uint8)
            if len(present) != self.count:
                raise ArrayError(f"{self.path}: present_mask has {len(present)} rows for {self.count}")
            if dtype.kind not in "fUb" and bool((values[present != 0] == fill).any()) and not self._stated:
                raise ArrayError(
                    f"{self.path}: a row that is present has the value {fill}, by which rows that are absent are told "
                    "apart from others here"
                )
            values = values.copy()
            values[present == 0] = fill
        return values if rows is None else values[rows]


def _nullable(spec: AttributeSpec) -> AttributeSpec:
    """Return how a column with a mask of present rows is understood: the others hold a value that means "missing"."""
    dtype = spec.numpy_dtype
    if spec.fill is not None or dtype.kind == "f" or spec.encoding in TIMES:
        return spec
    if dtype.kind == "b":
        made = AttributeSpec("int8", encoding="dictionary", categories=(False, True), fill=-1, nullable=True)
        return replace(made, value_dtype="bool", categorical=False, unit=spec.unit, description=spec.description)
    fill = _NONCHARACTER if dtype.kind == "U" else absent_value(dtype)
    return replace(spec, fill=fill, nullable=True)


class BlobLists:
    """Reading side of lists kept as a data blob and a blob of byte offsets without an end entry.

    Parameters
    ----------
    path : str
        Path of the group that holds ``data`` and ``offsets``.
    count : int
        Number of lists.
    """

    def __init__(self, path: str, count: int) -> None:
        self.path = path
        self.count = count

    def requests(self, rows: IntArray | None) -> list[Range]:
        """Return the ranges of both blobs."""
        return [*tiny_requests(f"{self.path}/data"), *tiny_requests(f"{self.path}/offsets")]

    @property
    def keeps(self) -> bool:
        """Always false."""
        return False

    def plan(self, rows: IntArray | None) -> tuple[list[Range], Callable[[Blobs], tuple[ByteArray, IntArray]]]:
        """Return the blobs to be read, and what takes them in; nothing is kept."""
        return self.requests(rows), lambda blobs: self.decode(blobs, rows)

    def decode(self, blobs: Blobs, rows: IntArray | None) -> tuple[ByteArray, IntArray]:
        """Return some lists (None: all) as one buffer and offsets into it."""
        buffer = np.frombuffer(decode_tiny(f"{self.path}/data", blobs[0], blobs[1]), np.uint8)
        raw = decode_tiny(f"{self.path}/offsets", blobs[2], blobs[3])
        if memoryview(raw).nbytes != 8 * self.count:
            raise ArrayError(f"{self.path}: {memoryview(raw).nbytes} bytes of offsets for {self.count} entries")
        offsets = np.append(np.frombuffer(raw, "<i8"), len(buffer)).astype(np.int64)
        if self.count and (offsets[0] < 0 or bool((np.diff(offsets) < 0).any())):
            raise ArrayError(f"{self.path}: offsets do not ascend within the {len(buffer)} bytes of data")
        if rows is None:
            return buffer, offsets
        lengths = np.diff(offsets)[rows]
        return buffer[expand_ranges(offsets[:-1][rows], lengths)], offsets_of(lengths)
