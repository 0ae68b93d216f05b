"""Names for the array and buffer types that appear in signatures."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

AnyArray: TypeAlias = npt.NDArray[Any]
"""An array of any data type."""

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
"""An array of any floating type (positions)."""

IntArray: TypeAlias = npt.NDArray[np.int64]
"""An array of int64 (rows, offsets, chunk coordinates, object ids)."""

BoolArray: TypeAlias = npt.NDArray[np.bool_]
"""A mask."""

ByteArray: TypeAlias = npt.NDArray[np.uint8]
"""A one-dimensional array of bytes."""

Bytes: TypeAlias = bytes | bytearray | memoryview | ByteArray
"""Anything contiguous that holds bytes."""

Document: TypeAlias = dict[str, Any]
"""A JSON object."""
