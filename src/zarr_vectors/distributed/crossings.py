"""Links by which added paths go on in another chunk, brought together with those that the level has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.constants import CROSS_CHUNK_LINKS, LINKS
from zarr_vectors.edit.appending import LocalAddition
from zarr_vectors.edit.change import Change
from zarr_vectors.formats.link_names import delta_name
from zarr_vectors.read.links import read_links


def put_crossings(change: Change, addition: LocalAddition) -> None:
    """Write the links of added paths; all links of a level are one family, so the caller has the turn.

    Parameters
    ----------
    change : Change
        The store, whose chunks have the paths already.
    addition : LocalAddition
        The paths. Their rows come behind those that the chunks had.
    """
    if not addition.made.links:
        return
    level = change.level(0)
    new, old = addition.made.links[0], addition.old
    held = np.zeros(len(level.chunks), np.int64)
    held[level.lookup.rows(old.chunks)] = old.row_counts
    chunks = level.lookup.rows(addition.made.chunks)[new.chunks]
    table = replace(new, chunks=chunks, rows=new.rows + held[chunks], here=level.chunks, there=level.chunks)
    if 0 in level.arrays.links:
        before = read_links(level, level, 0)
        joined = np.concatenate([before.chunks, table.chunks]), np.concatenate([before.rows, table.rows])
        table = replace(before, chunks=joined[0], rows=joined[1])
    with change.replacing(*(f"0/{family}/{delta_name(0)}" for family in (LINKS, CROSS_CHUNK_LINKS))):
        change.put(change.store.revision.encode_links("0", [table], level.arrays, change.root, change.layout(level)))
    change.reopen()
