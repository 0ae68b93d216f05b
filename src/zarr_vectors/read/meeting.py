"""Which objects have a vertex in a box or in some chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zarr_vectors.constants import OBJECT_ID_ATTRIBUTE
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.model.cells import Fragments, Manifests
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.ahead import read_ahead
from zarr_vectors.read.copies import may_repeat
from zarr_vectors.read.fetch import decode_fragments, decode_rows, fetch_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import has_identity, object_rows, read_manifests
from zarr_vectors.read.ordered_objects import manifest_places
from zarr_vectors.read.query import Query
from zarr_vectors.read.rows import fragment_row_lists
from zarr_vectors.spatial.boxes import Box, bin_ranges, chunks_met, rows_inside
from zarr_vectors.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class LoadedChunks:
    """Decoded chunks, in any order.

    Parameters
    ----------
    chunk_rows : (n,) int64
        Which chunks of the level they are.
    row_offsets : (n + 1,) int64
        Where the rows of each start.
    fragments : Fragments
        Their fragment tables.
    positions : (N, D) float, optional
        Their vertices; None where only fragments were needed.
    """

    chunk_rows: IntArray
    row_offsets: IntArray
    fragments: Fragments
    positions: FloatArray | None

    @property
    def vertices(self) -> FloatArray:
        """The vertices, which must have been loaded."""
        assert self.positions is not None
        return self.positions

    @staticmethod
    def whole(row_offsets: IntArray) -> Fragments:
        """Return fragments that are whole chunks, for levels that store none."""
        counts = np.diff(row_offsets)
        return Fragments(np.arange(len(counts) + 1, dtype=np.int64), np.zeros(len(counts), np.int64), counts)

    def select(self, keep: BoolArray) -> LoadedChunks:
        """Return some of the chunks."""
        if keep.all():
            return self
        counts, per_chunk = np.diff(self.row_offsets), np.diff(self.fragments.offsets)
        rows, listed = np.repeat(keep, counts), np.repeat(keep, per_chunk)
        explicit = self.fragments.explicit
        fragments = Fragments(
            offsets_of(per_chunk[keep]),
            self.fragments.starts[listed],
            self.fragments.counts[listed],
            None if explicit is None else explicit[listed],
            self.fragments.rows,
        )
        return LoadedChunks(
            self.chunk_rows[keep],
            offsets_of(counts[keep]),
            fragments,
            None if self.positions is None else self.positions[rows],
        )


def join_fragments(first: Fragments, second: Fragments) -> Fragments:
    """Return the fragment tables of some chunks followed by those of others."""
    explicit, starts = None, second.starts
    if first.explicit is not None or second.explicit is not None:
        flags = [np.zeros(f.count, bool) if f.explicit is None else f.explicit for f in (first, second)]
        explicit = np.concatenate(flags)
        starts = np.where(flags[1], starts + len(first.rows), starts)
    return Fragments(
        np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]]),
        np.concatenate([first.starts, starts]),
        np.concatenate([first.counts, second.counts]),
        explicit,
        np.concatenate([first.rows, second.rows]),
    )


def box_chunks(level: LevelReader, query: Query) -> IntArray:
    """Return the rows of the chunks that a query's box and chunk list reach, ascending."""
    reached: BoolArray = np.ones(len(level.chunks), bool)
    if query.chunks is not None:
        asked = level.lookup.rows(query.chunks)
        reached = np.zeros(len(level.chunks), bool)
        reached[asked[asked >= 0]] = True
    if query.box is not None:
        ranges = bin_ranges(query.box, level.grid, level.arrays.vertices.spec.numpy_dtype)
        reached &= chunks_met(level.chunks, ranges, level.grid)
    return np.flatnonzero(reached)


def objects_meeting(
    level: LevelReader, query: Query, columns: Mapping[str, CellArray] | None = None
) -> tuple[IntArray, LoadedChunks]:
    """Return the objects that have a vertex in a box or in some chunks.

    Parameters
    ----------
    level : LevelReader
        An open level.
    query : Query
        Box and chunks.
    columns : mapping of str to CellArray, optional
        Vertex attributes that will be read of these objects.

    Returns
    -------
    rows : (n,) int64
        Their manifest rows, ascending.
    loaded : LoadedChunks
        The chunks that were read to find them.
    """
    chunk_rows = box_chunks(level, query)
    named = level.arrays.fragment_attributes.get(OBJECT_ID_ATTRIBUTE)
    if level.metadata.shared_fragments or level.arrays.object_index is None:
        named = None
    if len(chunk_rows):
        arrays = [a for a in (level.arrays.vertices, level.arrays.vertex_fragments) if a is not None]
        certain = [(a, level.chunks[chunk_rows]) for a in (*arrays, named) if a is not None]
        read_ahead(level, certain=certain, likely=[(a, level.chunks) for a in (*arrays, *(columns or {}).values())])
    loaded, owners = _load(level, chunk_rows, named, with_positions=query.box is not None)
    hit = np.ones(loaded.fragments.count, bool) if query.box is None else _fragments_inside(level, query, loaded)
    if owners is not None:
        return np.unique(object_rows(level, np.unique(owners[hit]))), loaded
    if has_identity(level):
        return np.flatnonzero(hit), loaded
    manifests = read_manifests(level, None)
    objects = np.repeat(np.arange(len(manifests.offsets) - 1), np.diff(manifests.offsets))
    place_of = np.full(len(level.chunks), -1, np.int64)
    place_of[chunk_rows] = np.arange(len(chunk_rows))
    places = place_of[manifest_places(level, manifests)]
    used = np.flatnonzero(places >= 0)
    numbers = loaded.fragments.offsets[places[used]] + manifests.fragments[used]
    legal = numbers < loaded.fragments.offsets[places[used] + 1]
    return np.unique(objects[used[legal]][hit[numbers[legal]]]), loaded


def _load(
    level: LevelReader, chunk_rows: IntArray, named: CellArray | None, *, with_positions: bool
) -> tuple[LoadedChunks, IntArray | None]:
    """Read the fragments of some chunks, with their vertices and owners where wanted."""
    fragment_array = level.arrays.vertex_fragments
    arrays: dict[str, CellArray] = {}
    if with_positions or fragment_array is None:
        arrays["vertices"] = level.arrays.vertices
    if fragment_array is not None:
        arrays["fragments"] = fragment_array
    if named is not None:
        arrays["owners"] = named
    cells = fetch_cells(level.storage, list(arrays.values()), level.chunks[chunk_rows])
    fetched = dict(zip(arrays, cells, strict=True))
    positions: FloatArray | None = None
    row_offsets = np.zeros(len(chunk_rows) + 1, np.int64)
    if "vertices" in fetched:
        positions, row_offsets = decode_rows(fetched["vertices"])
    fragments = LoadedChunks.whole(row_offsets) if fragment_array is None else decode_fragments(fetched["fragments"])
    owners = None
    if "owners" in fetched:
        owners = decode_rows(fetched["owners"], np.diff(fragments.offsets))[0].astype(np.int64)
    return LoadedChunks(chunk_rows, row_offsets, fragments, positions), owners


def _fragments_inside(level: LevelReader, query: Query, loaded: LoadedChunks) -> BoolArray:
    """Return which fragments have a vertex inside the box."""
    assert query.box is not None
    fragments = loaded.fragments
    inside = np.zeros(len(loaded.vertices), bool)
    chunks = level.chunks[loaded.chunk_rows]
    tested = np.zeros(len(chunks), bool)
    rows = rows_inside(query.box, loaded.vertices, loaded.row_offsets, fragments, chunks, level.grid, by_bin=tested)
    inside[rows] = True
    base = np.repeat(loaded.row_offsets[:-1], np.diff(fragments.offsets))
    if fragments.explicit is None:
        before = offsets_of(inside)
        starts = np.minimum(fragments.starts + base, len(inside))
        return np.asarray(before[np.minimum(starts + fragments.counts, len(inside))] > before[starts])
    listed = fragment_row_lists(fragments, np.arange(fragments.count), base, len(inside), level.name)
    before = offsets_of(inside[np.minimum(listed, max(0, len(inside) - 1))])
    return np.asarray(np.diff(before[offsets_of(fragments.counts)]) > 0)


def parts_meeting(
    level: LevelReader, box: Box, manifests: Manifests, seen: LoadedChunks | None
) -> tuple[Manifests, IntArray]:
    """Return the parts of paths of which a segment or a vertex may be inside a box, and the path of each.

    A part is a run of fragments. The fragments left out, and the segments between those and others, are outside.

    Parameters
    ----------
    level : LevelReader
        An open level.
    box : Box
        The box.
    manifests : Manifests
        Of the paths.
    seen : LoadedChunks, optional
        Chunks that have been read, whose vertices say more than where the chunk is.
    """
    everything = manifests, np.arange(len(manifests.offsets) - 1)
    if may_repeat(level) or not len(manifests.fragments):
        return everything  # a copy lies outside its chunk
    shape, spatial = np.array(level.grid.chunk_shape), manifests.chunks[:, -level.grid.ndim :]
    exact = level.arrays.vertices.spec.numpy_dtype.itemsize < shape.itemsize
    margin = 0.0 if exact else 4 * np.finfo(np.float64).eps * np.abs(spatial * shape)
    ends = [np.stack([spatial * shape - margin, (spatial + 1) * shape + margin]) for _ in range(2)]
    where = manifest_places(level, manifests)
    met = np.zeros(len(level.chunks), bool)
    met[box_chunks(level, Query(box=box))] = True
    if seen is not None and not _narrow_to_vertices(ends, manifests, where, seen, len(level.chunks)):
        return everything
    first, last = ends
    low = np.minimum(last[0, :-1], first[0, 1:])
    high = np.maximum(last[1, :-1], first[1, 1:])
    path = np.repeat(everything[1], np.diff(manifests.offsets))
    meets = ((low < box.upper) & (high > box.lower)).all(axis=1) & (path[1:] == path[:-1])
    keep = met[where]
    keep[:-1] |= meets
    keep[1:] |= meets
    kept = np.flatnonzero(keep)
    starts = np.ones(len(kept), bool)
    starts[1:] = (kept[1:] != kept[:-1] + 1) | (path[kept[1:]] != path[kept[:-1]])
    heads = np.flatnonzero(starts)
    parts = Manifests(np.append(heads, len(kept)), manifests.chunks[kept], manifests.fragments[kept])
    return parts, path[kept[heads]]


def _narrow_to_vertices(
    ends: list[FloatArray], manifests: Manifests, where: IntArray, seen: LoadedChunks, count: int
) -> bool:
    """Put the first and last vertices of fragments at hand in place of their chunks; whether all of them have some."""
    place_of = np.full(count, -1, np.int64)
    place_of[seen.chunk_rows] = np.arange(len(seen.chunk_rows))
    places = place_of[where]
    known = np.flatnonzero(places >= 0)
    fragments, places = seen.fragments, places[known]
    numbers = fragments.offsets[places] + manifests.fragments[known]
    if (numbers >= fragments.offsets[places + 1]).any() or not fragments.counts[numbers].all():
        return False
    for end, rows in zip(ends, (0, fragments.counts[numbers] - 1), strict=True):
        rows = fragments.starts[numbers] + rows
        if fragments.explicit is not None:
            listed = fragments.explicit[numbers]
            rows[listed] = fragments.rows[rows[listed]]
        rows += seen.row_offsets[places]
        if (rows >= seen.row_offsets[places + 1]).any():
            return False
        end[:, known] = seen.vertices[rows]
    return True
