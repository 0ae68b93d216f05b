"""Adding, changing and removing attributes of vertices, links, objects and fragments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from zarr_vectors.constants import (
    ARRAY_FAMILIES,
    CROSS_CHUNK_LINK_ATTRIBUTES,
    FRAGMENT_ATTRIBUTES,
    LINK_ATTRIBUTES,
    LINKS_BRANCHES,
    OBJECT_ATTRIBUTES,
    OBJECT_ID_ATTRIBUTE,
    VERTEX_ATTRIBUTES,
)
from zarr_vectors.edit.binning import require_unbound
from zarr_vectors.edit.casting import cast_values
from zarr_vectors.edit.change import Change, changing
from zarr_vectors.edit.elements import is_ordered, read_level_elements
from zarr_vectors.edit.rows import VertexOrder, read_order_of
from zarr_vectors.edit.tables import column_at, fragments_of, known_object_ids, object_ids_of, put_tables
from zarr_vectors.exceptions import ArgumentError, UnknownNameError, UnsupportedFeatureError
from zarr_vectors.formats.columns import check_name, make_column, redescribed
from zarr_vectors.formats.descriptions import SpecLike
from zarr_vectors.formats.documents import attribute_document
from zarr_vectors.formats.given import Given, reshape_values, rounded_literals
from zarr_vectors.formats.joining import join_column
from zarr_vectors.formats.layout import CellPayloads
from zarr_vectors.formats.link_names import delta_name
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.links import LinkTable
from zarr_vectors.read.cells import read_cells
from zarr_vectors.read.elements import link_specs
from zarr_vectors.read.fetch import decode_rows, fetch_cells
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.links import read_links
from zarr_vectors.read.objects import read_column
from zarr_vectors.read.vertices import holds_faces
from zarr_vectors.spatial.pruning import with_links
from zarr_vectors.typing import IntArray
from zarr_vectors.write.frames import OBJECT_ID, aligned_columns, aligned_values, frame_columns
from zarr_vectors.write.level import write_level
from zarr_vectors.write.positions import as_array
from zarr_vectors.write.tables import joined_parts

AttributeKind: TypeAlias = Literal["vertex", "link", "object", "fragment"]

_ALIASES = {"node": "vertex", "face": "link", "edge": "link", "line": "object"}


def add_attribute(
    path: Any,
    name: str,
    values: Any,
    *,
    kind: str = "vertex",
    level: int = 0,
    dtype: npt.DTypeLike | None = None,
    spec: SpecLike = None,
    refresh: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> None:
    """Give a level a new attribute.

    Parameters
    ----------
    path, name, values, kind, level, dtype, spec, refresh, backend, **backend_kwargs
        As in :func:`set_attribute`.

    Raises
    ------
    ArgumentError
        When the level has an attribute of that name already, or as in :func:`set_attribute`.
    """
    with changing(path, backend, backend_kwargs, refresh) as change:
        put_attribute(change, name, values, kind=kind, level=level, dtype=dtype, spec=spec, must_be_new=True)


def set_attribute(
    path: Any,
    name: str,
    values: Any,
    *,
    kind: str = "vertex",
    level: int = 0,
    rows: npt.ArrayLike | None = None,
    dtype: npt.DTypeLike | None = None,
    spec: SpecLike = None,
    refresh: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> None:
    """Set an attribute of a level: all of its values, which may be new, or those of some rows.

    Only chunks whose values change are written.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    name : str
        Name of the attribute.
    values : (n,) or (n, C) array, or a scalar together with `rows`
        One row per vertex, link, object or fragment, in the order in which the reader of the kind returns those of
        the whole level: vertices in stored order (chunks in numeric order), those of paths path after path; edges
        and faces in the order of ``read_graph(…).edges`` and ``read_mesh(…).faces``; objects in the order of the
        object index (ascending ids in stores written here), or of pandas with their ids as index, in any order.
        Attributes of line ends may have shape ``(M, 2, …)``.
        Numbers keep their precision: float64 stays float64.
    kind : {"vertex", "link", "object", "fragment"}
        What has the attribute; also ``node``, ``edge``, ``face`` and ``line``.
    level : int
        The level. Attributes of objects are set at all levels alike, whichever is named, with a row for each object of
        level 0. Objects that only a coarse level has, because they were deleted since, keep the value that they have
        there, or have none.
    rows : integers, optional
        Only these rows, by their place in that order; the others keep what they have, and the attribute its type.
    dtype : data type, optional
        What values are cast to first. Floats may be rounded to the precision of a float type; numbers become integers
        only where they are whole and in range.
    spec : AttributeSpec or mapping, optional
        ``unit``, ``description``, ``channel_names``, ``extra``. What a mapping does not name stays as it was; names of
        channels go when there are more or fewer.
    refresh : bool
        Whether coarse levels are built anew afterwards. Otherwise those that hold aggregates of the attribute's old
        values are marked as stale.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Raises
    ------
    ShapeError, ArgumentError
        When values have another number of rows, or cannot be stored.
    UnknownNameError
        When the level is not there; or, with `rows`, the attribute.
    StoreLockedError
        When another writer holds the store.
    """
    with changing(path, backend, backend_kwargs, refresh) as change:
        put_attribute(change, name, values, kind=kind, level=level, rows=rows, dtype=dtype, spec=spec)


def remove_attribute(
    path: Any,
    name: str,
    *,
    kind: str = "vertex",
    level: int = 0,
    refresh: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> None:
    """Remove an attribute from a level; attributes of objects from all levels.

    Parameters
    ----------
    path, name, kind, level, refresh, backend, **backend_kwargs
        As in :func:`set_attribute`.

    Raises
    ------
    UnknownNameError
        When the level has no such attribute.
    ArgumentError
        When it cannot be removed: vertices are chunked by it, or it names the objects of fragments.
    """
    with changing(path, backend, backend_kwargs, refresh) as change:
        take_attribute(change, name, kind=kind, level=level)


def put_attribute(
    change: Change,
    name: str,
    values: Any,
    *,
    kind: str = "vertex",
    level: int = 0,
    rows: npt.ArrayLike | None = None,
    dtype: npt.DTypeLike | None = None,
    spec: SpecLike = None,
    must_be_new: bool = False,
) -> None:
    """Stage what :func:`set_attribute` does."""
    chosen = parse_kind(kind)
    reader = change.level(level)
    if chosen == "object":
        level, reader = 0, change.level(0)
    check_name("name", name)
    require_unbound(reader, chosen, name)
    present = attribute_names(reader, chosen)
    if must_be_new and name in present:
        raise ArgumentError(f"name: {reader.name} has a {chosen} attribute {name!r} already; set_attribute changes it")
    twin = next((other for other in present if other != name and other.lower() == name.lower()), None)
    if twin is not None:
        raise ArgumentError(
            f"name: {twin!r} and {name!r} differ only in case, which some file systems cannot tell apart"
        )
    if rows is not None and name not in present:
        raise UnknownNameError(f"rows: {reader.name} has no {chosen} attribute {name!r} yet; give values for all rows")
    _PUT[chosen](change, level, name, _Given(values, rows, dtype, spec))


def take_attribute(change: Change, name: str, *, kind: str = "vertex", level: int = 0) -> None:
    """Stage what :func:`remove_attribute` does."""
    chosen = parse_kind(kind)
    reader = change.level(level)
    require_unbound(reader, chosen, name)
    if name == OBJECT_ID_ATTRIBUTE and chosen == "fragment":
        raise ArgumentError(f"name: {name!r} names the object of every fragment; the format keeps it itself")
    if name not in (present := attribute_names(reader, chosen)):
        raise UnknownNameError(f"{reader.name} has no {chosen} attribute {name!r}; it has {sorted(present)}")
    families = _FAMILIES[chosen]
    levels = change.store.level_numbers() if chosen == "object" else [level]
    for number in levels:
        for family in families:
            segment = f"/{delta_name(0)}" if chosen == "link" else ""
            change.staged.delete_prefix(f"{number}/{family}/{name}{segment}")
            _drop_empty(change, f"{number}/{family}/{name}")
            _drop_empty(change, f"{number}/{family}")
        change.reopen()
        change.put_level(number)
    if level == 0:
        change.describe(chosen, {}, [name])
        if chosen in ("vertex", "link"):
            change.mark_stale()


def _drop_empty(change: Change, folder: str) -> None:
    """Delete the group document of a folder that holds nothing else."""
    if change.staged.list_all(folder) == [f"{folder}/zarr.json"]:
        change.staged.delete_prefix(folder)


def parse_kind(kind: Any) -> str:
    """Return what has an attribute, by one of its names."""
    chosen = _ALIASES.get(kind, kind) if isinstance(kind, str) else kind
    if chosen not in get_args(AttributeKind):
        raise ArgumentError(f"kind: expected one of {', '.join(get_args(AttributeKind))}, got {kind!r}")
    return str(chosen)


def attribute_names(level: LevelReader, kind: str) -> list[str]:
    """Return the names of the attributes that a level has of one kind."""
    if kind == "vertex":
        return level.attribute_names
    if kind == "link":
        return list(link_specs(level.arrays))
    return list(level.arrays.object_attributes if kind == "object" else level.arrays.fragment_attributes)


class _Given:
    """Values as a user gave them."""

    def __init__(self, values: Any, rows: Any, dtype: npt.DTypeLike | None, spec: SpecLike) -> None:
        self.values, self.rows, self.dtype, self.spec = values, rows, dtype, spec

    def column(self, name: str, count: int, per: str, old: Column | None, *, dictionary: bool = True) -> Column:
        """Return the whole column; `old` is what is stored, in the same order."""
        values = self.values
        if self.dtype is not None:
            alone = not isinstance(values, Given) and (
                isinstance(values, str | bytes) or not hasattr(values, "__len__")
            )
            values = cast_values(name, _repeated(values, ()) if alone else values, self.dtype)
        if self.rows is None:
            made = make_column("values", name, values, count, per, dictionary=dictionary)
            return _described(name, made, old, self.spec)
        assert old is not None
        rows = parse_rows(self.rows, count, per)
        shape = (len(rows), *old.values.shape[1:])
        values = rounded_literals(values, old.values.dtype)
        if isinstance(values, Given) and not values.values.ndim:
            missing = None if values.missing is None else np.broadcast_to(values.missing, shape)
            values = replace(values, values=np.broadcast_to(values.values, shape), missing=missing)
        elif not isinstance(values, Given) and np.ndim(values) == 0:
            values = np.broadcast_to(values, shape) if isinstance(values, np.generic) else _repeated(values, shape)
        new = make_column("values", name, values, len(rows), per, dictionary=dictionary)
        joined = join_column("values", name, old, new)
        changed = joined.values[:count].copy()
        changed[rows] = joined.values[count:]
        return Column(changed, redescribed("spec", name, joined.spec, self.spec))


def _repeated(value: Any, shape: tuple[int, ...]) -> Any:
    """Return one Python value as objects, of which none becomes another."""
    objects = np.empty(shape, object)
    objects[...] = value
    return objects


def _described(name: str, made: Column, old: Column | None, given: SpecLike) -> Column:
    """Return a column described as it was before, as far as that is not given."""
    if old is not None:
        was, spec = old.spec, made.spec
        channels = was.channel_names if was.channels == spec.channels else spec.channel_names
        spec = replace(spec, unit=was.unit, description=was.description, channel_names=channels, extra=was.extra)
        made = replace(made, spec=spec)
    return replace(made, spec=redescribed("spec", name, made.spec, given))


def parse_rows(rows: Any, count: int, per: str) -> IntArray:
    """Check row numbers that a user gave.

    Raises
    ------
    ArgumentError
        When they are not whole numbers, one is not there, or one is named twice.
    """
    given = np.atleast_1d(as_array("rows", list(rows) if isinstance(rows, range | set) else rows))
    if given.dtype == np.bool_ and given.shape == (count,):
        given = np.flatnonzero(given)
    if given.size == 0:
        return np.zeros(0, np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ArgumentError(f"rows: expected whole numbers, got {given.dtype} of shape {given.shape}")
    wrong = (given < 0) | (given >= count)
    if wrong.any():
        raise ArgumentError(f"rows: {given[wrong][0]} is not the row of a {per}; there are rows 0 to {count - 1}")
    numbers, times = np.unique(given, return_counts=True)
    if len(numbers) < len(given):
        raise ArgumentError(f"rows: row {numbers[times > 1][0]} is named more than once")
    return given.astype(np.int64)


def _put_vertices(change: Change, number: int, name: str, given: _Given) -> None:
    level = change.level(number)
    order = VertexOrder.of(change.store, level)
    old = _stored_cells(level, level.arrays.vertex_attributes.get(name), np.diff(order.row_offsets))
    if old is not None:
        old = Column(read_order_of(order, old.values), old.spec)
    if is_ordered(change.store):
        given.values = _per_vertex(given.values, order.count)
    column = given.column(name, order.count, "vertex", old)
    stored = order.stored(change.store, level, column)
    _put_cells(change, number, f"{VERTEX_ATTRIBUTES}/{name}", "attribute", name, stored, order.row_offsets)
    if number == 0:
        change.describe("vertex", {name: column})
        change.mark_stale()


def _per_vertex(values: Any, count: int) -> Any:
    """Return values with a row per vertex from a list with an array per path, or from those of line ends."""
    if isinstance(values, list | tuple) and len(values) and np.ndim(values[0]) > 0:
        sizes = [len(part) for part in values]
        return joined_parts("values", "values", "path", values) if sum(sizes) == count else values
    shape = np.shape(values)
    if len(shape) in (2, 3) and shape[:2] == (count // 2, 2) and shape[0] != count:
        return reshape_values(values, count, *shape[2:])
    return values


def _put_fragments(change: Change, number: int, name: str, given: _Given) -> None:
    level = change.level(number)
    if name == OBJECT_ID_ATTRIBUTE:
        raise ArgumentError(f"name: {name!r} names the object of every fragment; the format keeps it itself")
    fragments = fragments_of(level)
    old = _stored_cells(level, level.arrays.fragment_attributes.get(name), np.diff(fragments.offsets))
    column = given.column(name, fragments.count, "fragment", old)
    _put_cells(change, number, f"{FRAGMENT_ATTRIBUTES}/{name}", "fragment_attribute", name, column, fragments.offsets)
    if number == 0:
        change.describe("fragment", {name: column})


def _stored_cells(level: LevelReader, array: Any, counts: IntArray) -> Column | None:
    if array is None:
        return None
    return Column(decode_rows(fetch_cells(level.storage, [array], level.chunks)[0], counts)[0], array.spec)


def _put_cells(
    change: Change, number: int, path: str, zv_array: str, name: str, column: Column, row_offsets: IntArray
) -> None:
    """Write an array with a row per stored vertex or fragment; chunks that stay the same are not touched."""
    level = change.level(number)
    document = attribute_document(zv_array, name, column.spec) | {"row_shape": list(column.values.shape[1:])}
    payloads = CellPayloads.of_rows(path, document, level.chunks, column.values, row_offsets)
    layout = change.layout(level)
    with change.replacing(f"{number}/{path}"):
        change.put(change.store.revision.encode_cells(str(number), [payloads], level.arrays, layout))
    change.require_groups(number, path)
    change.reopen()
    change.put_level(number)


def _put_links(change: Change, number: int, name: str, given: _Given) -> None:
    level = change.level(number)
    if holds_faces(level):
        raise UnsupportedFeatureError(
            f"{level.name}: faces are in the Draco blobs of their vertices, where attributes of faces have no place"
        )
    if change.root.links_convention == LINKS_BRANCHES:
        _put_tree_links(change, number, name, given)
        return
    if 0 not in level.arrays.links:
        raise UnknownNameError(f"{level.name} stores no links that could have attributes")
    table = read_links(level, level, 0)
    column = given.column(name, table.count, "link", table.attributes.get(name))
    table = replace(table, attributes={**table.attributes, name: column})
    layout = change.layout(level)
    folders = [f"{number}/{family}/{name}/{delta_name(0)}" for family in _FAMILIES["link"]]
    with change.replacing(*folders):
        change.put(change.store.revision.encode_links(str(number), [table], level.arrays, change.root, layout))
    change.reopen()
    change.put_level(number)
    if number == 0:
        change.describe("link", {name: column})
        change.mark_stale()


def _put_tree_links(change: Change, number: int, name: str, given: _Given) -> None:
    """Give the edges of trees an attribute; all of them are stored then, also those that the order of rows implies."""
    if number:
        raise ArgumentError(f"level: edges of trees are given attributes at level 0 only, got level {number}")
    level, links = change.level(0), read_level_elements(change.store).links
    assert links is not None
    column = given.column(name, len(links.rows), "link", links.attributes.get(name))
    cells = read_cells(level, {other: change.level(other) for other in change.coarse_levels()})
    chunks = np.repeat(np.arange(len(cells.chunks)), cells.row_counts)[links.rows]
    rows, columns = links.rows - cells.row_offsets[:-1][chunks], {**links.attributes, name: column}
    table = LinkTable(0, chunks, rows, cells.chunks, cells.chunks, True, links.store, columns)
    layout = change.layout(level)
    with change.replacing(*(f"0/{family}" for family in sorted(ARRAY_FAMILIES))):
        write_level(
            change.staged,
            change.store.revision,
            change.root,
            level.metadata,
            with_links(cells, table),
            layout,
            previous=level.attributes,
        )
    change.reopen()
    change.mark_stale()
    change.describe("link", {name: column})


def _put_objects(change: Change, number: int, name: str, given: _Given) -> None:
    finest = change.level(number)
    ids = object_ids_of(finest)
    stored = finest.arrays.object_attributes.get(name)
    old = None if stored is None else read_column(finest, stored)
    chosen = ids if given.rows is None else ids[parse_rows(given.rows, len(ids), "object")]
    named = None if isinstance(given.values, dict) else frame_columns("values", given.values)
    if named is not None and OBJECT_ID in named:
        aligned = aligned_columns("values", given.values, chosen, "object")
        if len(aligned) != 1:
            raise ArgumentError(
                f"values: expected one column beside {OBJECT_ID!r}, got {list(aligned)}; set them one by one"
            )
        given.values = next(iter(aligned.values()))
    else:
        given.values = aligned_values("values", name, given.values, chosen, "object")
    column = given.column(name, len(ids), "object", old, dictionary=False)
    for other in change.store.level_numbers():
        theirs = known_object_ids(change.level(other))
        if theirs is not None:
            put_tables(change, other, {name: column_at(change.level(other), name, column, ids, theirs)})
    change.describe("object", {name: column})


_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "vertex": (VERTEX_ATTRIBUTES,),
    "fragment": (FRAGMENT_ATTRIBUTES,),
    "link": (LINK_ATTRIBUTES, CROSS_CHUNK_LINK_ATTRIBUTES),
    "object": (OBJECT_ATTRIBUTES,),
}
_PUT = {"vertex": _put_vertices, "link": _put_links, "object": _put_objects, "fragment": _put_fragments}
