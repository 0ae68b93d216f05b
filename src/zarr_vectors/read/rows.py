"""Reading vertices: which chunks a query meets, their cells, and the rows that it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.constants import NONEMPTY_CHUNKS, OBJECT_ID_ATTRIBUTE
from zarr_vectors.exceptions import ArrayError, UnsupportedFeatureError
from zarr_vectors.formats.chunk_keys import format_keys
from zarr_vectors.formats.layout import CellArray
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Fragments, Manifests
from zarr_vectors.ordering import expand_ranges
from zarr_vectors.read.ahead import read_ahead
from zarr_vectors.read.chunk_values import chunk_values
from zarr_vectors.read.fetch import FetchedCells, decode_fragments, decode_rows, fetch_indexes, fetch_many
from zarr_vectors.read.filters import matching_rows, meets
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import fragment_owners, has_identity, object_rows, read_manifests, read_object_ids
from zarr_vectors.read.partial import read_bins
from zarr_vectors.read.query import Query
from zarr_vectors.read.straight import read_straight
from zarr_vectors.read.vertices import decode_vertices
from zarr_vectors.spatial.boxes import bin_ranges, chunks_met, has_bin_fragments, rows_inside
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Rows:
    """Vertices that a query found.

    Parameters
    ----------
    positions : (n, D) float
        In the precision of the level.
    attributes : mapping of str to Column
        The attributes asked for.
    object_ids : (n,) int64, optional
        Object of every vertex, -1 for none; None where the level has no objects.
    chunks : (C, S) int64
        Chunks that were read.
    """

    positions: FloatArray
    attributes: Mapping[str, Column]
    object_ids: IntArray | None
    chunks: IntArray


def read_rows(level: LevelReader, query: Query) -> Rows:
    """Read the vertices that a query asks for, in stored order: chunk, fragment, input order.

    On an open store this costs at most three rounds of requests for a box: shard indexes, fragment indexes
    (only where cells are not compressed, so that only the bins wanted are fetched), cells.

    Parameters
    ----------
    level : LevelReader
        An open level.
    query : Query
        What to read.
    """
    if level.arrays.vertices.spec.encoding != "raw":
        raise UnsupportedFeatureError(
            f"{level.name}: vertices are encoded as {level.arrays.vertices.spec.encoding!r}, not raw rows"
        )
    names = level.attribute_names if query.attributes is None else list(query.attributes)
    filters = dict(query.attribute_filter or {})
    columns = level.stored_attributes([*names, *filters])
    manifests = read_query_manifests(level, query, columns)
    chunk_rows = meet_chunks(level, query, manifests)
    if query.box is not None and level.arrays.object_index is None and not level.leads:
        found = read_bins(level, query.box, chunk_rows, [level.arrays.vertices, *columns.values()])
        if found is not None:
            positions, *values = found
            return _filtered(level, positions, dict(zip(columns, values, strict=True)), names, filters, chunk_rows)
    loaded, _ = load_chunks(level, chunk_rows, columns, fragments=query.box is not None)
    rows = select_rows(level, loaded, query, manifests)
    if filters:
        base = np.arange(loaded.count) if rows is None else rows
        taken = {name: loaded.attributes[name].take(base) for name in filters}
        rows = base[matching_rows(taken, filters)]
    return _take(loaded, rows, names, level.chunks[chunk_rows])


@dataclass(frozen=True, slots=True)
class Loaded:
    """Every row of some chunks.

    Parameters
    ----------
    positions : (N, D) float
        In stored order.
    row_offsets : (C + 1,) int64
        Where the rows of each chunk start.
    fragments : Fragments, optional
        Their fragments, where they were needed.
    attributes : dict of str to Column
        One row per vertex.
    chunk_rows : (C,) int64
        Which chunks of the level these are.
    owners : (F,) int64, optional
        Object id of every fragment, -1 for none.
    faces : (M, 3) int64, optional
        Faces inside chunks as rows of all of them, where they are stored with the vertices.
    """

    positions: FloatArray
    row_offsets: IntArray
    fragments: Fragments | None
    attributes: dict[str, Column]
    chunk_rows: IntArray
    owners: IntArray | None
    faces: IntArray | None = None

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.positions)

    def fragment_rows(self, numbers: IntArray) -> IntArray:
        """Return the rows of some fragments, ascending and unique."""
        fragments = self.fragments
        assert fragments is not None
        base = np.repeat(self.row_offsets[:-1], np.diff(fragments.offsets))[numbers]
        rows = fragment_row_lists(fragments, numbers, base, self.count)
        return rows if bool((rows[1:] > rows[:-1]).all()) else np.unique(rows)


ROWS_NAMED_FREELY = 2**20
"""Rows that fragments may name together, however few there are."""

NAMINGS_OF_A_ROW = 2**10
"""How often fragments may name every row there is, beyond that: shared fragments do so now and then."""


def check_named(counts: IntArray, present: int, where: str) -> None:
    """Refuse fragments that name so many more rows than there are that memory would run out.

    Parameters
    ----------
    counts : (n,) int64
        Rows of each fragment.
    present : int
        Rows that there are.
    where : str
        What is read, for the message.

    Raises
    ------
    ArrayError
        When they name too many.
    """
    total = float(counts.sum(dtype=np.float64))
    if total > ROWS_NAMED_FREELY + NAMINGS_OF_A_ROW * present:
        raise ArrayError(f"{where}: fragments name {total:.0f} rows, of {present} that there are; the store is damaged")


def fragment_row_lists(
    fragments: Fragments, numbers: IntArray, base: IntArray, present: int, where: str = "vertex_fragments"
) -> IntArray:
    """Return the rows of some fragments, one after another, each in its own order, counted from given bases.

    Parameters
    ----------
    fragments : Fragments
        Fragment tables.
    numbers : (n,) int64
        Which fragments.
    base : (n,) int64
        First row of the chunk of each.
    present : int
        Rows that there are.
    where : str
        What is read, for the message.

    Raises
    ------
    ArrayError
        When the fragments name far more rows than there are.
    """
    starts, counts = fragments.starts[numbers], fragments.counts[numbers]
    check_named(counts, present, where)
    if fragments.explicit is None:
        return expand_ranges(starts + base, counts)
    explicit = fragments.explicit[numbers]
    places = expand_ranges(starts, counts)
    listed = np.repeat(explicit, counts)
    places[listed] = fragments.rows[places[listed]]
    return places + np.repeat(base, counts)


def _filtered(
    level: LevelReader,
    positions: FloatArray,
    values: dict[str, AnyArray],
    names: list[str],
    filters: dict[str, object],
    chunk_rows: IntArray,
) -> Rows:
    """Apply attribute conditions to rows that are inside the box already."""
    columns = {name: Column(v, level.attribute(name).spec) for name, v in values.items()}
    chunks = level.chunks[chunk_rows]
    if not filters:
        return Rows(positions, columns, None, chunks)
    keep = matching_rows(columns, filters)
    return Rows(positions[keep], {name: columns[name].take(keep) for name in names}, None, chunks)


def read_query_manifests(
    level: LevelReader,
    query: Query,
    columns: Mapping[str, CellArray],
    more: Iterable[tuple[CellArray, IntArray]] = (),
) -> Manifests | None:
    """Return the manifests of the objects that a query asks for, or None where it asks for none.

    In the same round the shard indexes of the level are read, where they are few.

    Parameters
    ----------
    level : LevelReader
        An open level.
    query : Query
        What to read.
    columns : mapping of str to CellArray
        Vertex attributes that will be read.
    more : iterable of (CellArray, (n, S) int64)
        Further cells of which some will be read.
    """
    if query.object_ids is None:
        return None
    if level.arrays.object_index is not None:
        arrays = (level.arrays.vertices, level.arrays.vertex_fragments, _owner_array(level), *columns.values())
        likely = [(array, level.chunks) for array in arrays if array is not None]
        read_ahead(level, likely=[*likely, *more], object_ids=query.object_ids)
    return read_manifests(level, object_rows(level, query.object_ids))


def _owner_array(level: LevelReader) -> CellArray | None:
    """Return the array of the object of every fragment, where it says all."""
    if level.arrays.object_index is None or level.metadata.shared_fragments:
        return None
    return level.arrays.fragment_attributes.get(OBJECT_ID_ATTRIBUTE)


def meet_chunks(level: LevelReader, query: Query, manifests: Manifests | None) -> IntArray:
    """Return the rows of the chunks that hold vertices of a query, ascending.

    Parameters
    ----------
    level : LevelReader
        An open level.
    query : Query
        What to read.
    manifests : Manifests, optional
        Those of the objects asked for.
    """
    needed: BoolArray = np.ones(len(level.chunks), bool)
    if query.chunks is not None:
        asked = level.lookup.rows(query.chunks)
        needed = np.zeros(len(level.chunks), bool)
        needed[asked[asked >= 0]] = True
    chunked_by = level.metadata.keyed_attribute
    if chunked_by is not None and chunked_by in (query.attribute_filter or {}):
        values = chunk_values(level, np.arange(len(level.chunks)))
        needed &= meets(values, (query.attribute_filter or {})[chunked_by], chunked_by)
    if query.box is not None:
        ranges = bin_ranges(query.box, level.grid, level.arrays.vertices.spec.numpy_dtype)
        needed &= chunks_met(level.chunks, ranges, level.grid)
    if manifests is not None:
        rows = level.lookup.rows(manifests.chunks)
        if (rows < 0).any():
            missing = manifests.chunks[rows < 0][0].tolist()
            raise ArrayError(f"{level.name}: a manifest names chunk {missing}, which the level does not have")
        named = np.zeros(len(level.chunks), bool)
        named[rows] = True
        needed &= named
    return np.flatnonzero(needed)


def load_chunks(
    level: LevelReader,
    chunk_rows: IntArray,
    columns: Mapping[str, CellArray],
    *,
    fragments: bool,
    more: Sequence[tuple[CellArray, IntArray]] = (),
) -> tuple[Loaded, list[FetchedCells]]:
    """Fetch and decode the cells of some chunks.

    Parameters
    ----------
    level : LevelReader
        An open level.
    chunk_rows : (n,) int64
        Rows of the chunks in ``level.chunks``, ascending.
    columns : mapping of str to CellArray
        Vertex attributes wanted.
    fragments : bool
        Whether fragments are needed; where there are objects they always are.
    more : sequence of (CellArray, (n, S) int64)
        Further cells to fetch in the same rounds.

    Returns
    -------
    loaded : Loaded
        The chunks.
    fetched : list of FetchedCells
        What ``more`` asked for.
    """
    chunks = level.chunks[chunk_rows]
    has_objects = level.arrays.object_index is not None or has_identity(level)
    owner_array = _owner_array(level)
    fragment_array = level.arrays.vertex_fragments if fragments or has_objects else None
    arrays: list[CellArray] = [level.arrays.vertices, *columns.values()]
    extra = [array for array in (fragment_array, owner_array) if array is not None]
    fetch_indexes(level.storage, [*((array, chunks) for array in (*arrays, *extra)), *more])
    at_hand = read_straight(level.storage, arrays, chunks)
    wanted = [(array, chunks[: 0 if at_hand else None]) for array in arrays]
    everything = fetch_many(level.storage, [*wanted, *((array, chunks) for array in extra), *more])
    fetched, others = everything[: len(arrays) + len(extra)], everything[len(arrays) + len(extra) :]
    if at_hand:
        values, row_offsets, faces = at_hand.values, at_hand.row_offsets, None
    else:
        positions, row_offsets, faces = decode_vertices(fetched[0])
        counts = np.diff(row_offsets)
        values = [positions, *(decode_rows(cells, counts)[0] for cells in fetched[1 : len(arrays)])]
    counts = np.diff(row_offsets)
    _check_presence(level.arrays.vertices, chunks, counts)
    named = zip(columns.items(), values[1:], strict=True)
    attributes = {name: Column(column, array.spec) for (name, array), column in named}
    if level.keyed_attribute is not None:
        attributes[level.keyed_attribute] = chunk_values(level, np.repeat(chunk_rows, counts))
    tables = _whole_chunks(counts)
    if fragment_array is not None:
        tables = decode_fragments(fetched[len(arrays)])
        _check_fragments(level, chunks, tables, counts)
    owners = _owners(level, tables, chunk_rows, fetched[-1] if owner_array is not None else None)
    return Loaded(values[0], row_offsets, tables, attributes, chunk_rows, owners, faces), others


def _check_presence(vertices: CellArray, chunks: IntArray, counts: IntArray) -> None:
    """Refuse chunks that the array lists as non-empty and that are not there."""
    if NONEMPTY_CHUNKS in vertices.document and not counts.all():
        key = format_keys(chunks[counts == 0][:1])[0]
        raise ArrayError(
            f"{vertices.path}: chunk {key} is listed in {NONEMPTY_CHUNKS}, but its cell is missing or empty; "
            "the store is damaged or its copy incomplete"
        )


def _whole_chunks(counts: IntArray) -> Fragments:
    return Fragments(np.arange(len(counts) + 1, dtype=np.int64), np.zeros(len(counts), np.int64), counts)


def _check_fragments(level: LevelReader, chunks: IntArray, fragments: Fragments, counts: IntArray) -> None:
    """Refuse fragments that name rows which their chunk does not have."""
    limits = np.repeat(counts, np.diff(fragments.offsets))
    ends = fragments.starts + fragments.counts
    if fragments.explicit is not None:
        listed = fragments.explicit
        highest = np.zeros(fragments.count, np.int64)
        nonempty = listed & (fragments.counts > 0)
        if nonempty.any():
            order = np.flatnonzero(nonempty)
            highest[order] = np.maximum.reduceat(fragments.rows, fragments.starts[order]) + 1
        ends = np.where(listed, highest, ends)
    bad = (ends > limits) & (fragments.counts > 0)
    if bad.any():
        number = int(np.flatnonzero(bad)[0])
        chunk = int(np.searchsorted(fragments.offsets, number, side="right")) - 1
        key = ".".join(map(str, chunks[chunk].tolist()))
        raise ArrayError(
            f"{level.name}: vertex_fragments: chunk {key}: fragment {number - fragments.offsets[chunk]} names row "
            f"{int(ends[number]) - 1}, but the chunk has {int(limits[number])} rows"
        )


def _owners(
    level: LevelReader, fragments: Fragments, chunk_rows: IntArray, named: FetchedCells | None
) -> IntArray | None:
    """Return the id of every fragment's object, -1 for none."""
    if has_identity(level):
        return np.arange(fragments.count, dtype=np.int64)
    if level.arrays.object_index is None:
        return None
    if named is not None:
        owners, _ = decode_rows(named, np.diff(fragments.offsets))
        return np.asarray(owners, np.int64)
    rows, _ = fragment_owners(level, fragments, chunk_rows)
    ids = read_object_ids(level)
    assert ids is not None
    padded = np.append(ids, -1)
    return np.asarray(padded[rows])


def select_rows(level: LevelReader, loaded: Loaded, query: Query, manifests: Manifests | None) -> IntArray | None:
    """Return the rows inside the box and of the objects asked for, ascending; None means all.

    Parameters
    ----------
    level : LevelReader
        An open level.
    loaded : Loaded
        Chunks of it.
    query : Query
        What to read.
    manifests : Manifests, optional
        Those of the objects asked for.
    """
    rows: IntArray | None = None
    if query.box is not None:
        chunks = level.chunks[loaded.chunk_rows]
        grid = level.grid
        fragments = loaded.fragments or _whole_chunks(np.diff(loaded.row_offsets))
        by_bin = has_bin_fragments(fragments, np.diff(loaded.row_offsets), grid)
        if level.arrays.object_index is not None:
            by_bin[:] = False
        rows = rows_inside(query.box, loaded.positions, loaded.row_offsets, fragments, chunks, grid, by_bin=by_bin)
    if manifests is not None:
        mine = _manifest_rows(level, loaded, manifests)
        rows = mine if rows is None else np.intersect1d(rows, mine, assume_unique=True)
    return rows


def _manifest_rows(level: LevelReader, loaded: Loaded, manifests: Manifests) -> IntArray:
    """Return the rows of some objects, by their manifests, ascending."""
    place_of = np.full(len(level.chunks), -1, np.int64)
    place_of[loaded.chunk_rows] = np.arange(len(loaded.chunk_rows))
    places = place_of[level.lookup.rows(manifests.chunks)]
    used = places >= 0
    assert loaded.fragments is not None
    offsets = loaded.fragments.offsets
    numbers = offsets[places[used]] + manifests.fragments[used]
    if (numbers >= offsets[places[used] + 1]).any():
        raise ArrayError(f"{level.name}: a manifest names a fragment that its chunk does not have")
    return loaded.fragment_rows(np.unique(numbers))


def _take(loaded: Loaded, rows: IntArray | None, names: list[str], chunks: IntArray) -> Rows:
    ids = None if loaded.owners is None else ids_of_rows(loaded)
    if rows is None or len(rows) == loaded.count:
        return Rows(loaded.positions, {name: loaded.attributes[name] for name in names}, ids, chunks)
    return Rows(
        np.take(loaded.positions, rows, axis=0, mode="clip"),
        {name: loaded.attributes[name].take(rows) for name in names},
        None if ids is None else ids[rows],
        chunks,
    )


def ids_of_rows(loaded: Loaded) -> IntArray:
    """Return the object id of every row; rows of no fragment have -1."""
    fragments, owners = loaded.fragments, loaded.owners
    assert fragments is not None
    assert owners is not None
    if fragments.tile(loaded.row_offsets):
        return np.repeat(owners, fragments.counts)
    base = np.repeat(loaded.row_offsets[:-1], np.diff(fragments.offsets))
    rows = fragment_row_lists(fragments, np.arange(fragments.count), base, loaded.count)
    ids = np.full(loaded.count, -1, np.int64)
    ids[rows] = np.repeat(owners, fragments.counts)
    return ids
