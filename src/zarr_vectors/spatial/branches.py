"""Trees as rows: an order in which most parents stand right before their children, and what that order implies.

Inside a fragment the parent of row i is row i − 1 unless a stored link says otherwise, and the first row has no
implied parent (Zarr Vectors specification, links convention ``implicit_sequential_with_branches``).
"""

from __future__ import annotations

import numpy as np

from zarr_vectors.model.cells import Fragments
from zarr_vectors.ordering import offsets_of
from zarr_vectors.typing import BoolArray, IntArray


def implied_links(fragments: Fragments, row_offsets: IntArray, has_own: BoolArray) -> IntArray:
    """Return the (child, parent) rows ``(m, 2)`` that the order of rows inside fragments implies.

    Parameters
    ----------
    fragments : Fragments
        Fragments of some chunks.
    row_offsets : (C + 1,) int64
        Where the rows of each chunk start.
    has_own : (N,) bool
        Rows whose parent is stored.
    """
    base = np.repeat(row_offsets[:-1], np.diff(fragments.offsets))
    offsets = offsets_of(fragments.counts)
    places = np.arange(int(offsets[-1]), dtype=np.int64)
    rows = places + np.repeat(fragments.starts - offsets[:-1], fragments.counts)
    if fragments.explicit is not None:
        listed = np.repeat(fragments.explicit, fragments.counts)
        rows[listed] = fragments.rows[rows[listed]]
    rows += np.repeat(base, fragments.counts)
    follows = np.ones(len(rows), bool)
    follows[offsets[:-1][fragments.counts > 0]] = False
    later = np.flatnonzero(follows)
    later = later[~has_own[rows[later]]]
    return np.stack([rows[later], rows[later - 1]], axis=1)
