"""The floor of streamlines: runs inside chunks → radix argsort → gather → zstd per chunk → one file, and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

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
from benchmarks.streamlines.tracts import BOX, CHUNKS, EDGE, load_tracts, some_ids


def write(path: Path, positions: np.ndarray, offsets: np.ndarray) -> Packed:
    """Write paths cut at chunk faces."""
    chunk = chunk_numbers(positions, EDGE, CHUNKS)
    first = np.append(True, chunk[1:] != chunk[:-1])
    first[offsets[:-1]] = True
    begins = np.flatnonzero(first)
    lengths = np.diff(np.append(begins, len(positions)))
    run_chunk = chunk[begins]
    order = np.argsort(run_chunk, kind="stable")
    runs = np.stack([begins[order], lengths[order]], axis=1)
    run_starts = starts_of(np.bincount(run_chunk, minlength=CHUNKS**3))
    row_starts = starts_of(np.bincount(run_chunk, weights=lengths, minlength=CHUNKS**3))
    gathered = np.take(positions, ranges(runs[:, 0], runs[:, 1]), axis=0, mode="clip")
    owner = np.searchsorted(offsets, begins, side="right") - 1
    references = np.empty((len(order), 2), np.int64)
    references[order] = np.stack([run_chunk[order], np.arange(len(order)) - run_starts[run_chunk[order]]], axis=1)
    manifests = np.append(0, np.cumsum(np.bincount(owner, minlength=len(offsets) - 1)))
    per_cell = np.append(np.arange(0, len(offsets) - 1, 16384), len(offsets) - 1)
    columns = {
        "positions": (gathered, row_starts),
        "runs": (np.stack([owner[order], runs[:, 1]], axis=1), run_starts),
        "references": (references, manifests[per_cell]),
    }
    return pack(path, columns, manifests=manifests)


def read(packed: Packed) -> tuple[np.ndarray, np.ndarray]:
    """Read all paths."""
    positions, runs, references = (unpack(packed, name) for name in ("positions", "runs", "references"))
    return _in_order(positions, runs[:, 1], packed.rows["runs"], references, packed.tables["manifests"])


def _in_order(
    positions: np.ndarray, lengths: np.ndarray, run_starts: np.ndarray, references: np.ndarray, manifests: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    number = run_starts[references[:, 0]] + references[:, 1]
    counts = lengths[number]
    rows = ranges((np.cumsum(lengths) - lengths)[number], counts)
    return np.take(positions, rows, axis=0, mode="clip"), starts_of(counts)[manifests]


def read_paths(packed: Packed, references: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read some paths; the references of all are at hand."""
    manifests = packed.tables["manifests"]
    counts = manifests[ids + 1] - manifests[ids]
    mine = references[ranges(manifests[ids], counts)]
    chunks = np.unique(mine[:, 0])
    positions, runs = unpack(packed, "positions", chunks), unpack(packed, "runs", chunks)
    place = np.searchsorted(chunks, mine[:, 0])
    per_chunk = packed.rows["runs"][chunks + 1] - packed.rows["runs"][chunks]
    local = np.stack([place, mine[:, 1]], axis=1)
    return _in_order(positions, runs[:, 1], starts_of(per_chunk), local, starts_of(counts))


def read_box(packed: Packed, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read the paths that have a vertex in a box."""
    low, high = (np.array(corner) for corner in BOX)
    chunks = chunks_of_box(low, high, EDGE, CHUNKS)
    positions, runs = unpack(packed, "positions", chunks), unpack(packed, "runs", chunks)
    hit = np.add.reduceat(inside(positions, low, high), np.cumsum(runs[:, 1]) - runs[:, 1]) > 0
    return read_paths(packed, references, np.unique(runs[hit, 0]))


def _write_work(count: int, folder: Path) -> Work:
    positions, offsets = load_tracts(folder)
    path = folder / "floor.bin"
    return Work(lambda: write(path, positions, offsets), store=path)


def _read_work(work: Callable[[Packed, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        packed = load(folder / "floor.bin")
        references = unpack(packed, "references")
        return Work(lambda: len(work(packed, references)[0]))

    return prepare


WORKS: dict[str, Callable[[int, Path], Work]] = {
    "write": _write_work,
    "read": _read_work(lambda packed, _: read(packed)),
    "box": _read_work(read_box),
}
for _many in (1, 100):
    WORKS[f"objects {_many}"] = _read_work(
        lambda packed, references, many=_many: read_paths(
            packed, references, some_ids(len(packed.tables["manifests"]) - 1, many)
        )
    )
