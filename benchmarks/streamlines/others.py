"""Other formats of streamlines: TRX by trx-python, TCK and TRK by nibabel, each under its own interpreter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.streamlines import Tractogram
from nibabel.streamlines.array_sequence import ArraySequence
from trx import trx_file_memmap as trx

from benchmarks.measuring import Work
from benchmarks.streamlines.tracts import BOX, load_tracts, some_ids


def _sequence(folder: Path) -> ArraySequence:
    positions, offsets = load_tracts(folder)
    sequence = ArraySequence()
    sequence._data, sequence._offsets, sequence._lengths = positions, offsets[:-1], np.diff(offsets)
    return sequence


def _write_trx(count: int, folder: Path) -> Work:
    sequence = _sequence(folder)
    path = folder / "tracts.trx"

    def run() -> None:
        file = trx.TrxFile(nb_vertices=len(sequence._data), nb_streamlines=count)
        file.streamlines._data = sequence._data  # in float32, as everyone else writes it
        file.streamlines._offsets[:] = sequence._offsets
        file.streamlines._lengths[:] = sequence._lengths
        trx.save(file, str(path))
        file.close()

    return Work(run, store=path)


def _write_nibabel(kind: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        sequence = _sequence(folder)
        path = folder / f"tracts.{kind}"
        return Work(
            lambda: nibabel.streamlines.save(Tractogram(sequence, affine_to_rasmm=np.eye(4)), str(path)), store=path
        )

    return prepare


def _read_trx(objects: int) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        ids = some_ids(count, objects) if objects else None

        def run() -> int:
            file = trx.load(str(folder / "tracts.trx"))
            found = file.streamlines if ids is None else file.streamlines[ids]
            read = len(np.array(found.get_data()))
            file.close()
            return read

        return Work(run)

    return prepare


def _box_trx(count: int, folder: Path) -> Work:
    low, high = (np.array(corner) for corner in BOX)

    def run() -> int:
        file = trx.load(str(folder / "tracts.trx"))
        lines = file.streamlines
        inside = ((lines._data >= low) & (lines._data < high)).all(axis=1)
        hit = np.logical_or.reduceat(inside, lines._offsets.astype(np.int64))
        read = len(np.array(lines[np.flatnonzero(hit)].get_data()))
        file.close()
        return read

    return Work(run)


def _read_nibabel(kind: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        path = str(folder / f"tracts.{kind}")
        return Work(lambda: len(nibabel.streamlines.load(path).streamlines.get_data()))

    return prepare


WORKS: dict[str, Callable[[int, Path], Any]] = {
    "write trx": _write_trx,
    "read trx": _read_trx(0),
    "objects 1 trx": _read_trx(1),
    "objects 100 trx": _read_trx(100),
    "box trx": _box_trx,
}
for _kind in ("tck", "trk"):
    WORKS[f"write {_kind}"] = _write_nibabel(_kind)
    WORKS[f"read {_kind}"] = _read_nibabel(_kind)
