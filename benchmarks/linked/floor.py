"""The floor of vertices with links: order by chunk and object → gather → zstd per chunk → one file, and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.linked.networks import BOXES, CHUNKS, EDGE, load_network, some_ids
from benchmarks.measuring import Work
from benchmarks.packed import (
    Packed,
    chunk_numbers,
    chunks_of_box,
    inside,
    load,
    pack,
    ranges,
    starts_of,
    unpack,
)

Found = tuple[np.ndarray, np.ndarray]


def write(path: Path, positions: np.ndarray, links: np.ndarray, objects: np.ndarray) -> Packed:
    """Write vertices by chunk and object, links under the chunk of their first endpoint, crossing ones apart."""
    chunk = chunk_numbers(positions, EDGE, CHUNKS)
    order = np.argsort(objects.astype(np.uint16), kind="stable")
    order = order[np.argsort(chunk[order], kind="stable")]
    gathered = np.take(positions, order, axis=0, mode="clip")
    stored = np.empty(len(order), np.int64)
    stored[order] = np.arange(len(order))
    row_starts = starts_of(np.bincount(chunk, minlength=CHUNKS**3))
    key = chunk[order].astype(np.int64) << 32 | objects[order]
    heads = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    fragments = np.stack([objects[order][heads], np.diff(np.append(heads, len(order)))], axis=1)
    fragment_starts = starts_of(np.bincount(chunk[order][heads], minlength=CHUNKS**3))
    chunks = chunk[links]
    crossing = (chunks != chunks[:, :1]).any(axis=1)
    columns = {"positions": (gathered, row_starts), "fragments": (fragments, fragment_starts)}
    for name, mask in (("within", ~crossing), ("across", crossing)):
        rows, source = links[mask], chunks[mask, 0]
        by_source = np.argsort(source, kind="stable")
        numbers, others = stored[rows[by_source]], chunks[mask][by_source]
        local = numbers - row_starts[others]
        starts = starts_of(np.bincount(source, minlength=CHUNKS**3))
        columns[name] = (local, starts)
        if name == "across":
            columns["chunks"] = (others[:, 1:], starts)
    of_object = np.argsort(fragments[:, 0].astype(np.uint16), kind="stable")
    in_chunk = np.repeat(np.arange(CHUNKS**3), np.diff(fragment_starts))
    manifests = starts_of(np.bincount(fragments[:, 0]))
    return pack(path, columns, manifests=manifests, references=in_chunk[of_object])


def read(packed: Packed) -> Found:
    """Read everything."""
    positions, within, across, chunks = (unpack(packed, name) for name in ("positions", "within", "across", "chunks"))
    bases = packed.rows["positions"][:-1]
    source = [np.repeat(bases, np.diff(packed.rows[name])) for name in ("within", "across")]
    within += source[0][:, None]
    across[:, 0] += source[1]
    across[:, 1:] += bases[chunks]
    return positions, np.concatenate([within, across])


def _links(packed: Packed, chunks: np.ndarray) -> np.ndarray:
    """Return the links between the vertices of some chunks, as rows of those."""
    counts = {name: np.diff(packed.rows[name])[chunks] for name in ("positions", "within", "across")}
    bases = np.full(CHUNKS**3, -1)
    bases[chunks] = starts_of(counts["positions"])[:-1]
    within = unpack(packed, "within", chunks) + np.repeat(bases[chunks], counts["within"])[:, None]
    across, others = unpack(packed, "across", chunks), unpack(packed, "chunks", chunks)
    known = (bases[others] >= 0).all(axis=1)
    across[:, 0] += np.repeat(bases[chunks], counts["across"])
    across[:, 1:] += bases[others]
    return np.concatenate([within, across[known]])


def read_box(packed: Packed, kind: str) -> Found:
    """Read the vertices in a box and the links between them; of meshes the faces with their centroid inside."""
    low, high = (np.array(corner) for corner in BOXES[kind])
    margin = 0 if kind != "meshes" else EDGE
    lower, upper = np.maximum(low - margin, 0), np.minimum(high + margin, CHUNKS * EDGE)
    chunks = chunks_of_box(lower, upper, EDGE, CHUNKS)
    positions, links = unpack(packed, "positions", chunks), _links(packed, chunks)
    if kind == "meshes":
        links = links[inside(positions[links].mean(axis=1), low, high)]
        rows = np.unique(links)
        return positions[rows], np.searchsorted(rows, links)
    kept = inside(positions, low, high)
    return _numbered(positions, kept, links)


def _numbered(positions: np.ndarray, kept: np.ndarray, links: np.ndarray) -> Found:
    number = np.cumsum(kept) - 1
    return positions[kept], number[links[kept[links].all(axis=1)]]


def read_objects(packed: Packed, ids: np.ndarray) -> Found:
    """Read some objects."""
    manifests, references = packed.tables["manifests"], packed.tables["references"]
    chunks = np.unique(references[ranges(manifests[ids], manifests[ids + 1] - manifests[ids])])
    positions, fragments, links = unpack(packed, "positions", chunks), unpack(packed, "fragments", chunks), None
    kept = np.repeat(np.isin(fragments[:, 0], ids), fragments[:, 1])
    links = _links(packed, chunks)
    return _numbered(positions, kept, links)


def _write_work(count: int, folder: Path) -> Work:
    arrays = load_network(folder)
    path = folder / "floor.bin"
    return Work(lambda: write(path, *arrays), store=path)


def _read_work(work: Callable[[Packed], Found]) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        packed = load(folder / "floor.bin")
        return Work(lambda: len(work(packed)[1]))

    return prepare


def _objects_work(many: int) -> Callable[[int, Path], Work]:
    return _read_work(lambda packed: read_objects(packed, some_ids(len(packed.tables["manifests"]) - 1, many)))


WORKS: dict[str, Callable[[int, Path], Work]] = {"write": _write_work, "read": _read_work(read)}
for _kind in BOXES:
    WORKS[f"{_kind} box"] = _read_work(lambda packed, kind=_kind: read_box(packed, kind))
for _many in (1, 100):
    WORKS[f"objects {_many}"] = _objects_work(_many)
