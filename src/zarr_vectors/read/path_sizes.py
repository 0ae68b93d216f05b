"""How many vertices reading whole paths will return, by their manifests and fragments."""

from __future__ import annotations

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.read.copies import may_repeat
from zarr_vectors.read.fetch import decode_fragments, fetch_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.meeting import LoadedChunks, objects_meeting
from zarr_vectors.read.ordered_objects import manifest_places, read_object_tables
from zarr_vectors.read.query import Query
from zarr_vectors.read.row_offsets import read_row_offsets
from zarr_vectors.spatial.boxes import Box


def count_path_vertices(level: LevelReader, box: Box | None) -> tuple[int, int]:
    """Return the fewest and the most vertices that the paths of a box have together, all paths where there is none.

    Both are the same but where paths may repeat the vertex before a crossing, which reading leaves out.

    Parameters
    ----------
    level : LevelReader
        An open level.
    box : Box, optional
        Whole paths with a vertex inside.

    Raises
    ------
    ArrayError
        When a manifest names a chunk or fragment that is not there.
    """
    rows = None if box is None else objects_meeting(level, Query(box=box))[0]
    manifests = read_object_tables(level, rows, []).manifests
    chunk_of = manifest_places(level, manifests)
    chunk_rows, places = np.unique(chunk_of, return_inverse=True)
    array = level.arrays.vertex_fragments
    if array is None:
        offsets = read_row_offsets(level)
        fragments = LoadedChunks.whole(np.append(0, np.cumsum(np.diff(offsets)[chunk_rows])))
    else:
        fragments = decode_fragments(fetch_cells(level.storage, [array], level.chunks[chunk_rows])[0])
    numbers = fragments.offsets[places] + manifests.fragments
    if ((manifests.fragments < 0) | (numbers >= fragments.offsets[places + 1])).any():
        raise ArrayError(f"{level.name}: a manifest names a fragment that its chunk does not have")
    most = int(fragments.counts[numbers].sum())
    if not may_repeat(level):
        return most, most
    crossing = chunk_of[1:] != chunk_of[:-1]
    starts = manifests.offsets[1:-1]
    crossing[starts[(starts > 0) & (starts <= len(crossing))] - 1] = False
    return most - int(crossing.sum()), most
