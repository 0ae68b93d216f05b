"""Reading the payloads of single chunks, whichever layout the array has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors.core.handle import StoreHandle
from zarr_vectors.core.nodes import read_documents
from zarr_vectors.exceptions import ArgumentError, ArrayError
from zarr_vectors.formats.cell_access import is_grid, open_cell_array
from zarr_vectors.formats.chunk_keys import format_keys, parse_key, parse_keys
from zarr_vectors.formats.documents import ROOT_KEY, parse_level, parse_root
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.model.metadata import LevelMetadata
from zarr_vectors.read.fetch import get_some
from zarr_vectors.storage.port import Storage, list_folder
from zarr_vectors.typing import Bytes, Document, IntArray

ChunkKey = str | Sequence[int]
"""A chunk as a key (``"0.1.2"``) or as its coordinates."""

Plan = Sequence[tuple[str, Iterable[ChunkKey]]]
"""Arrays and the chunks of each that will be read."""

_KEY = re.compile(r"-?\d+(\.-?\d+)*")


@dataclass(slots=True)
class Prefetched:
    """Undecoded cells that were fetched ahead, by array and chunk.

    Parameters
    ----------
    arrays : dict of str to CellArray
        The arrays by path.
    blobs : dict of (str, tuple of int) to list
        What was fetched for each chunk.
    """

    arrays: dict[str, CellArray] = field(default_factory=dict)
    blobs: dict[tuple[str, tuple[int, ...]], list[Bytes | None]] = field(default_factory=dict)

    def payload(self, path: str, chunk: tuple[int, ...]) -> bytes | None:
        """Return a payload that was fetched, or None."""
        blobs = self.blobs.get((path, chunk))
        return None if blobs is None else decoded(self.arrays[path], blobs, chunk)

    def forget(self, path: str, chunk: tuple[int, ...]) -> None:
        """Drop a payload that has been written anew."""
        self.blobs.pop((path, chunk), None)


def decoded(array: CellArray, blobs: list[Bytes | None], chunk: tuple[int, ...]) -> bytes:
    """Return a payload from the blobs of a chunk; an empty cell is ``b""``."""
    return b"" if not any(blob is not None for blob in blobs) else bytes(array.payload(blobs, _row(chunk)[0]))


def _row(chunk: tuple[int, ...]) -> IntArray:
    return np.array([chunk], np.int64)


def as_plan(plan: Any) -> list[tuple[str, list[ChunkKey]]]:
    """Return a plan that a user gave as a list of its own.

    Raises
    ------
    ArgumentError
        When it is not a sequence of pairs.
    """
    try:
        pairs = [(name, list(keys)) for name, keys in plan if not isinstance(keys, str)]
        if len(pairs) == len(plan):
            return pairs
    except (TypeError, ValueError):
        pass
    raise ArgumentError(f"plan: expected pairs of the name of an array and a list of chunk keys, got {plan!r:.80}")


def fetch_plan(handle: StoreHandle, plan: Plan) -> Prefetched:
    """Fetch the cells of a plan: metadata in one round, shard indexes in another, all cells in a third.

    Parameters
    ----------
    handle : StoreHandle
        The open store.
    plan : sequence of (str, chunks)
        Paths of arrays below the root of the store, with the chunks of each. An array that is not there is
        left out.
    """
    wanted = {path: list(dict.fromkeys(parse_key(key, path) for key in keys)) for path, keys in plan}
    above = set() if handle.has_grids else {"", *(path.partition("/")[0] for path in wanted)}
    documents = read_documents(handle, {*wanted, *above})
    fetched = Prefetched()
    chunks: dict[str, IntArray] = {}
    for path, keys in wanted.items():
        if keys and path in documents:
            fetched.arrays[path] = open_cell_array(path, documents[path], len(keys[0]))
            chunks[path] = parse_chunks(path, keys)
            expected = _components(path, documents)
            require_components(path, chunks[path], len(keys[0]) if expected is None else expected)
    load_indexes(handle.storage, [(array, chunks[path]) for path, array in fetched.arrays.items()])
    requests = {path: array.cell_requests(chunks[path]) for path, array in fetched.arrays.items()}
    blobs = get_some(handle.storage, [request for plan in requests.values() for request in plan])
    start = 0
    for path, array in fetched.arrays.items():
        width = array.requests_per_cell
        for chunk in wanted[path]:
            fetched.blobs[path, chunk] = blobs[start : start + width]
            start += width
    return fetched


def _components(path: str, documents: Mapping[str, Document]) -> int | None:
    """Return the number of components of an array's chunk keys, or None where nothing says it."""
    if is_grid(documents[path]):
        return len(documents[path]["shape"])
    level = path.partition("/")[0]
    attributes = documents.get("", {}).get("attributes") or {}
    if ROOT_KEY not in attributes or not level.isdecimal():
        return None
    ndim = parse_root(attributes, "root").ndim
    return ndim + level_metadata(level, documents).leads(ndim)


def level_metadata(level: str, documents: Mapping[str, Document]) -> LevelMetadata:
    """Return the metadata of a level by its ``zarr.json``, or that of a new one where it has none."""
    attributes = documents.get(level, {}).get("attributes") or {}
    return parse_level(attributes, int(level), f"level {level}")


def require_components(path: str, chunks: IntArray, expected: int) -> None:
    """Refuse chunk keys of another number of components than those of an array.

    Raises
    ------
    ArgumentError
        Naming the array and the first key.
    """
    if len(chunks) and chunks.shape[1] != expected:
        given = tuple(chunks[0].tolist())
        raise ArgumentError(f"{path}: chunk keys have {expected} components, one for each axis, got {given}")


def parse_chunks(path: str, keys: Sequence[tuple[int, ...]]) -> IntArray:
    """Return chunk coordinates ``(n, S)`` in the order given.

    Raises
    ------
    ArrayError
        When some have more components than others.
    """
    if len({len(key) for key in keys}) > 1:
        raise ArrayError(f"{path}: chunks {keys[0]} and others have different numbers of components")
    return np.array(keys, np.int64)


def load_indexes(storage: Storage, wanted: Sequence[tuple[CellArray, IntArray]]) -> None:
    """Read the shard indexes that chunks of several arrays need, in one round."""
    plans = [array.index_requests(chunks) for array, chunks in wanted]
    requests = [request for plan in plans for request in plan]
    blobs = storage.get_many(requests) if requests else []
    start = 0
    for (array, _), plan in zip(wanted, plans, strict=True):
        array.accept_indexes(plan, blobs[start : start + len(plan)])
        start += len(plan)


def read_payload(handle: StoreHandle, path: str, key: ChunkKey) -> bytes:
    """Return the payload of one chunk; an empty cell is ``b""``.

    Raises
    ------
    ArgumentError
        When the key has another number of components than those of the array.
    ArrayError
        When there is no such array, or the cell is damaged.
    """
    chunk = parse_key(key, path)
    fetched = fetch_plan(handle, [(path, [chunk])])
    payload = fetched.payload(path, chunk)
    if payload is None:
        raise ArrayError(f"{handle.storage.url}: there is no array {path!r}")
    return payload


def known_chunks(handle: StoreHandle, path: str, document: Document) -> IntArray:
    """Return the chunks ``(n, S)`` of an array that hold something, in numeric order.

    They are derived by listing, and from the indexes of shards, where the metadata does not name them.
    """
    storage = handle.storage
    if not is_grid(document):
        names = [name for name in list_folder(storage, path).folders if _KEY.fullmatch(name)]
        ndim = max((name.count(".") + 1 for name in names), default=1)
        return parse_keys([name for name in names if name.count(".") + 1 == ndim], ndim, path)
    array = open_cell_array(path, document, 0)
    if array.chunks is None:
        derive_chunks(storage, array)
    assert array.chunks is not None
    return array.chunks


def derive_chunks(storage: Storage, array: CellArray) -> None:
    """Let an array find its chunks by listing, where its metadata does not name them."""
    addresses = storage.list_all(array.path)
    load_indexes(storage, [(array, array.stored_chunks(addresses))])
    array.list_chunks(addresses)


def list_keys(handle: StoreHandle, path: str) -> list[str]:
    """Return the keys of the chunks of an array that hold something, in numeric order.

    Raises
    ------
    ArrayError
        When there is no such array.
    """
    document = read_documents(handle, [path]).get(path)
    if document is None:
        raise ArrayError(f"{handle.storage.url}: there is no array {path!r}")
    return format_keys(known_chunks(handle, path, document))
