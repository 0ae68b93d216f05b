"""Chunk keys: the one place where chunk coordinates are spelled and parsed (``"i.j.k"``)."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

from zarr_vectors.exceptions import ArgumentError, MetadataError, UnsupportedFeatureError
from zarr_vectors.ordering import lexicographic_order
from zarr_vectors.typing import Document, IntArray

_LARGEST = 1 << 63


def format_keys(chunks: IntArray) -> list[str]:
    """Return the keys of chunk coordinates ``(C, S)``."""
    return [".".join(map(str, row)) for row in chunks.tolist()]


def parse_keys(keys: Sequence[str], ndim: int, where: str) -> IntArray:
    """Return the coordinates ``(C, S)`` of chunk keys, in numeric order.

    Raises
    ------
    MetadataError
        When a key is not ``ndim`` integers joined by full stops, or stands there twice.
    """
    try:
        numbers = [tuple(map(int, key.split("."))) for key in keys]
        chunks = np.array(numbers, np.int64).reshape(len(numbers), ndim)
    except (ValueError, AttributeError, TypeError, OverflowError) as error:
        raise MetadataError(f"{where}: chunk keys must be {ndim} integers joined by '.': {error}") from error
    ordered = chunks[lexicographic_order(chunks)]
    if len(ordered) > 1 and bool((ordered[1:] == ordered[:-1]).all(axis=1).any()):
        raise MetadataError(f"{where}: a chunk key is listed twice")
    return ordered


def is_key(name: str, ndim: int) -> bool:
    """Return whether a name is a chunk key of ``ndim`` components."""
    parts = name.split(".")
    return len(parts) == ndim and all(part.lstrip("-").isdecimal() and part.isascii() for part in parts)


def parse_key(key: str | Sequence[int], where: str) -> tuple[int, ...]:
    """Return the coordinates of one chunk from its key, or from the coordinates themselves.

    Raises
    ------
    ArgumentError
        When it is neither.
    """
    try:
        parts = key.split(".") if isinstance(key, str) else list(key)
        numbers = tuple(operator.index(int(part) if isinstance(part, str) else part) for part in parts)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{where}: {key!r} is not a chunk key such as '0.1.2'") from error
    if not all(-_LARGEST <= number < _LARGEST for number in numbers):
        raise ArgumentError(f"{where}: chunk key {key!r} holds a number that does not fit 64 bits")
    return numbers


def key_encoding(document: Document, path: str) -> tuple[str, str]:
    """Return how an array names the objects of its Zarr chunks: the name of the encoding and the separator.

    Raises
    ------
    UnsupportedFeatureError
        Naming an encoding or a storage transformer that is not known here.
    """
    stated = document.get("chunk_key_encoding", "default")
    stated = {"name": stated} if isinstance(stated, str) else stated
    name = stated.get("name", "default")
    separator = (stated.get("configuration") or {}).get("separator", "/" if name == "default" else ".")
    if name not in ("default", "v2") or separator not in ("/", "."):
        raise UnsupportedFeatureError(
            f"{path}: chunk keys are encoded by {name!r} with separator {separator!r}; default and v2 with '/' or "
            "'.' are read"
        )
    if document.get("storage_transformers"):
        raise UnsupportedFeatureError(
            f"{path}: storage_transformers {document['storage_transformers']!r} are not known"
        )
    return name, separator
