"""Adding vertices to level 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import (
    CROSS_CHUNK_LINKED,
    LINKS_SEQUENTIAL,
    OBJECT_ID_ATTRIBUTE,
    OBJECT_INDEX,
    ORIGINAL_INDEX_ATTRIBUTE,
    VERTICES,
)
from zarr_vectors.edit.binning import LEADING, bins_of_objects, leading_column
from zarr_vectors.edit.change import Change, changing, require_finest
from zarr_vectors.edit.chunks import fits_grid, merge_fragments, put_chunks
from zarr_vectors.edit.elements import (
    described_chunks,
    drop_cross_levels,
    in_object_order,
    is_ordered,
    read_level_elements,
    rewrite,
)
from zarr_vectors.edit.joining import (
    fit_columns,
    join_objects,
    join_vertices,
    new_ids,
    require_new,
    settle_positions,
    vertex_columns,
    whole_lines,
)
from zarr_vectors.edit.tables import bare_cells
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.joining import stored_form
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.cells import Cells, Manifests, ObjectTable
from zarr_vectors.model.elements import Elements, Links, Objects
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.ordering import expand_ranges, offsets_of
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.fetch import decode_rows, fetch_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_columns, read_manifests, read_object_ids
from zarr_vectors.spatial.lookup import ChunkLookup
from zarr_vectors.spatial.partition import FragmentRule, Leading, partition
from zarr_vectors.typing import IntArray
from zarr_vectors.write.tables import Attributes, has_columns


@dataclass(frozen=True, slots=True)
class AppendSummary:
    """What ``append_vertices`` did; also answers to ``summary["vertices_added"]``.

    Attributes
    ----------
    vertices_added, new_objects, chunks_touched : int
        How many vertices and objects there are now that were not there before, and in how many chunks.
    ignored_count : int
        Vertices left out under ``out_of_bounds="ignore"``.
    """

    vertices_added: int
    new_objects: int
    chunks_touched: int
    ignored_count: int = 0

    def __getitem__(self, key: str) -> int:
        if key not in self.__slots__:
            raise KeyError(key)
        return int(getattr(self, key))

    def as_dict(self) -> dict[str, int]:
        """Return the three counts by name."""
        return {name: self[name] for name in ("vertices_added", "new_objects", "chunks_touched")}


@dataclass(frozen=True, slots=True)
class Additions:
    """Vertices to be added, as a user gave them; arguments of :func:`append_vertices` by the same names.

    Under `numbered` the first vertices of a point cloud without objects are objects, too, where no ids are given.
    """

    positions: Any
    object_ids: Any = None
    attributes: Attributes = None
    object_attributes: Attributes = None
    dtype: npt.DTypeLike | None = None
    out_of_bounds: str = "raise"
    numbered: bool = False


def append_vertices(
    path: Any,
    positions: npt.ArrayLike,
    *,
    object_ids: npt.ArrayLike | None = None,
    attributes: Attributes = None,
    object_attributes: Attributes = None,
    dtype: npt.DTypeLike | None = None,
    out_of_bounds: str = "raise",
    refresh: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> AppendSummary:
    """Add vertices to level 0, and objects with them.

    Of a point cloud only the chunks that get new points are read and written. Other kinds are read as a whole, and
    only chunks that change are written.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    positions : (n, D) array
        Coordinates in the units of the axes. The vertices of a path follow each other in path order.
    object_ids : (n,) integers or one integer, optional
        Object of every new vertex: ids that the store does not have yet. By default every vertex is an object of
        its own, and every two are a line in a store of lines, counting on from the highest id. A line takes exactly
        two rows. A point cloud without objects takes none.
    attributes : mapping of str to (n,) or (n, C) array, optional
        Vertex attributes. One that is not given gets the fill value that it declares: NaN for floats, NaT for dates,
        "missing" for categories; where none is declared, values must be given.
    object_attributes : mapping of str to array, optional
        One row per new object in ascending id order, or named by its id as in ``write_points``; filled likewise.
    dtype : float type, optional
        Checked against that of the level, which it cannot change.
    out_of_bounds : {"raise", "ignore", "expand"}
        What happens to vertices outside the bounds: refuse, leave out (of lines both ends), or grow the bounds.
    refresh : bool
        Whether coarse levels are built anew afterwards; otherwise they are marked as stale.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    AppendSummary
        Counts.

    Raises
    ------
    ShapeError, ArgumentError, OutOfBoundsError
        For arguments that do not fit the store, which is then as it was.
    StoreLockedError
        When another writer holds the store.
    """
    given = Additions(positions, object_ids, attributes, object_attributes, dtype, out_of_bounds)
    with changing(path, backend, backend_kwargs, refresh) as change:
        return put_vertices(change, given)


def put_vertices(change: Change, given: Additions, level: int = 0) -> AppendSummary:
    """Stage what :func:`append_vertices` does, at any level of a point cloud.

    Raises
    ------
    ArgumentError
        Also for a coarse level of another kind, or where more of it must change than the chunks of the new vertices.
    """
    local = change.root.links_convention == LINKS_SEQUENTIAL and not is_ordered(change.store)
    if not local:
        require_finest(level, "appending")
    reader = change.level(level)
    settled = settle_positions(reader, given.positions, given.dtype, given.out_of_bounds)
    known = read_object_ids(reader)
    if given.object_ids is not None and local and known is None and len(reader.chunks):
        raise ArgumentError(f"object_ids: {reader.name} has points without objects; new ones can have none either")
    columns = _columns(reader, given, len(settled.keep))
    unnumbered = not given.numbered or len(reader.chunks) > 0
    if local and known is None and given.object_ids is None and unnumbered:
        objects = None
        if has_columns("object_attributes", given.object_attributes):
            raise ArgumentError(f"object_attributes: {reader.name} has no objects to describe")
    else:
        everything = _known(change, level) if known is None or level else known
        ids = new_ids(reader, given.object_ids, len(settled.keep), everything)
        settled = whole_lines(reader, settled, ids)
        require_new(ids[settled.keep], everything)
        objects = Objects(*_compact(ids[settled.keep]))
    columns = {name: column.take(settled.keep) for name, column in columns.items()}
    elements = Elements(settled.positions, columns, objects)
    added = 0 if objects is None else objects.count
    count, ignored = len(settled.positions), int((~settled.keep).sum())
    if count == 0:
        return AppendSummary(0, 0, 0, ignored)
    if reader.leads and LEADING not in columns:
        elements = replace(elements, attributes={**columns, LEADING: _bins_by_object(reader, elements, given)})
    touched = _put_locally(change, elements, given, settled.root, level) if local else None
    if touched is None:
        require_finest(level, "appending more than its chunks have room for")
        touched = _put_anew(change, elements, given, settled.root)
    return AppendSummary(count, added, touched, ignored)


def _bins_by_object(level: LevelReader, new: Elements, given: Additions) -> Column:
    """Return the bins of new vertices in a level whose chunks go by objects."""
    if new.objects is None:
        raise ArgumentError(f"object_ids: the chunks of {level.name} go by objects; new vertices need them")
    specs = {name: array.spec for name, array in level.arrays.object_attributes.items()}
    ids = new.objects.ids
    described = fit_columns(
        "object_attributes", specs, given.object_attributes, len(ids), "object", dictionary=False, ids=ids
    )
    return leading_column(bins_of_objects(level, ids, described, None)[new.objects.of_vertex])


def _known(change: Change, level: int) -> IntArray:
    """Return the ids of the objects of level 0 and, of a coarse level, of that level as well."""
    objects = None if level else read_level_elements(change.store).objects
    found = [np.zeros(0, np.int64) if objects is None else objects.ids]
    for number in {0, level} if level else ():
        ids = read_object_ids(change.level(number))
        found += [] if ids is None else [ids]
    return np.unique(np.concatenate(found))


def _compact(ids: IntArray) -> tuple[IntArray, IntArray]:
    distinct, of_vertex = np.unique(ids, return_inverse=True)
    return distinct, of_vertex.reshape(-1)


def _columns(level: LevelReader, given: Additions, count: int) -> dict[str, Column]:
    """Return the attributes of all vertices given."""
    array = level.arrays.vertex_attributes.get(ORIGINAL_INDEX_ATTRIBUTE)
    following = None
    if array is not None:
        numbers, _ = decode_rows(fetch_cells(level.storage, [array], level.chunks)[0])
        following = int(numbers.max(initial=-1)) + 1
    return vertex_columns(level, given.attributes, count, following)


def _put_anew(change: Change, new: Elements, given: Additions, root: RootMetadata) -> int:
    """Join all of level 0 with new vertices; return in how many chunks these are."""
    old = read_level_elements(change.store)
    chunks = _chunks_of(change.level(0), new)
    if new.objects is not None:
        ids = new.objects.ids[new.objects.of_vertex]
        before = old.objects or Objects(np.zeros(0, np.int64), np.zeros(0, np.int64))
        new = replace(new, objects=join_objects(before, ids, given.object_attributes))
    if old.links is not None:
        none = {name: column.take(slice(0, 0)) for name, column in old.links.attributes.items()}
        new = replace(new, links=Links(np.zeros((0, old.links.width), np.int64), none))
    joined = join_vertices(old, new)
    rewrite(change, in_object_order(joined) if is_ordered(change.store) else joined, root)
    return chunks


def _chunks_of(level: LevelReader, new: Elements) -> int:
    chunks = level.grid.chunks_of(new.positions)
    if LEADING in new.attributes:
        chunks = np.concatenate([new.attributes[LEADING].values[:, None], chunks], axis=1)
    return len(np.unique(chunks, axis=0))


@dataclass(frozen=True, slots=True)
class LocalAddition:
    """Points, or paths, that are added to the chunks that they are in.

    Parameters
    ----------
    new : Elements
        The points.
    made : Cells
        The points by chunk, with the links by which paths go on in another chunk.
    old : Cells
        What those of the chunks hold that hold something.
    merged : Cells
        The chunks as they are to be.
    """

    new: Elements
    made: Cells
    old: Cells
    merged: Cells


def _put_locally(change: Change, new: Elements, given: Additions, root: RootMetadata, number: int) -> int | None:
    """Add points to the chunks that they are in; None where more than those chunks must change."""
    level = change.level(number)
    addition = add_locally(change, new, number) if len(level.chunks) else None
    if addition is None:
        return None
    put_chunks(change, level, addition.merged)
    put_added(change, addition, given.object_attributes, root, number)
    return len(addition.made.chunks)


def add_locally(change: Change, new: Elements, number: int = 0) -> LocalAddition | None:
    """Join points, or paths, with the chunks that they are in; None where more than those chunks must change.

    Links by which paths go on in another chunk are in the result, and not written by :func:`put_added`.
    """
    level, ordered = change.level(number), is_ordered(change.store)
    specs = {name: array.spec for name, array in level.arrays.vertex_attributes.items()}
    widened = any(
        stored_form(column.spec) != stored_form(specs[name]) for name, column in new.attributes.items() if name in specs
    )
    others = set(level.arrays.fragment_attributes) - {OBJECT_ID_ATTRIBUTE}
    tied = level.metadata.shared_fragments or _link_attributes(level) if ordered else 0 in level.arrays.links
    if widened or others or level.arrays.vertex_fragments is None or tied:
        return None
    columns = dict(new.attributes)
    codes = columns.pop(LEADING, None)
    leading = None if codes is None else Leading(codes.values, int(codes.values.max(initial=0)) + 1)
    new = replace(new, attributes=columns)
    rule = FragmentRule.RUNS if ordered else FragmentRule.BINS if new.objects is None else FragmentRule.OBJECTS
    crossings = change.root.cross_chunk_strategy or CROSS_CHUNK_LINKED
    made = partition(new, level.grid, rule, crossings=crossings, leading=leading)
    if not fits_grid(change.documents(number)[f"{number}/{VERTICES}"], made.chunks):
        return None
    places = level.lookup.rows(made.chunks)
    old = read_chunks(level, places[places >= 0])
    if old.fragments.explicit is not None:
        return None
    merged = _by_bins(level, old, new, leading) if new.objects is None else merge_fragments(old, made)
    return LocalAddition(new, made, old, merged)


def _link_attributes(level: LevelReader) -> set[str]:
    """Return the names of the attributes of the links between the vertices of a level."""
    family = level.arrays.links.get(0)
    if family is None:
        return set()
    held = [*family.without_rows, *(() if family.blob is None else family.blob.attributes)]
    return {*held, *(name for array in family.arrays for name in array.attributes)}


def put_added(
    change: Change, addition: LocalAddition, object_attributes: Attributes, root: RootMetadata, number: int = 0
) -> None:
    """Write what is there once for a level or store: objects, counts, and that coarse levels are older now.

    Parameters
    ----------
    change : Change
        The store, whose chunks have the points already.
    addition : LocalAddition
        The points.
    object_attributes : mapping of str to array, optional
        One row per new object in ascending id order.
    root : RootMetadata
        Metadata that the store is to have.
    number : int
        The level.
    """
    level, made = change.level(number), addition.made
    if made.objects is not None:
        _put_objects(change, level, addition.old, made, object_attributes)
    described = described_chunks(level, made)
    change.put_level(
        number,
        vertex_count=level.metadata.vertex_count + made.count,
        chunk_attribute_name=described.chunk_attribute_name,
        chunk_attribute_values=described.chunk_attribute_values,
        extra=described.extra,
        stale=number > 0,
    )
    drop_cross_levels(change, root, number)
    if number == 0:
        change.mark_stale()


def _by_bins(level: LevelReader, old: Cells, new: Elements, leading: Leading | None) -> Cells:
    """File the points of some chunks anew together with those that are added to them."""
    together = join_vertices(Elements(old.positions, old.attributes), new)
    if leading is not None:
        codes = np.concatenate([np.repeat(old.chunks[:, 0], old.row_counts), leading.codes])
        leading = Leading(codes, int(codes.max(initial=0)) + 1)
    return partition(together, level.grid, FragmentRule.BINS, leading=leading)


def _put_objects(change: Change, level: LevelReader, old: Cells, made: Cells, object_attributes: Attributes) -> None:
    """Add objects to the index of a level, their fragments behind those that the chunks had."""
    assert made.objects is not None
    assert made.objects.manifests is not None
    ids = read_object_ids(level)
    assert ids is not None
    before, after = read_manifests(level, None), made.objects.manifests
    rows = ChunkLookup.of(old.chunks).rows(after.chunks) if len(old.chunks) else np.full(len(after.chunks), -1)
    held = np.append(np.diff(old.fragments.offsets), 0)
    fragments = after.fragments + held[rows]
    columns = read_columns(level, dict(level.arrays.object_attributes), None)
    table = join_objects(Objects(ids, np.zeros(0, np.int64), columns), made.objects.ids, object_attributes)
    order = np.argsort(np.concatenate([ids, made.objects.ids]), kind="stable")
    counts = np.concatenate([np.diff(before.offsets), np.diff(after.offsets)])
    starts = offsets_of(counts)[:-1]
    taken = expand_ranges(starts[order], counts[order])
    manifests = Manifests(
        offsets_of(counts[order]),
        np.concatenate([before.chunks, after.chunks])[taken],
        np.concatenate([before.fragments, fragments])[taken],
    )
    cells = bare_cells(level, ObjectTable(table.ids, manifests, table.attributes))
    number = str(level.metadata.level)
    with change.replacing(f"{number}/{OBJECT_INDEX}"):
        change.staged.put_many(change.store.revision.encode_tables(number, cells, change.layout(level)))
    change.reopen()
