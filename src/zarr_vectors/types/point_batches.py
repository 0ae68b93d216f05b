"""Batches of points, checked and put aside in local files until it is known where they go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.constants import ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.encoding.categorical import MISSING_CODE, code_type, free_value
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, ShapeError
from zarr_vectors.formats.columns import is_nullable_boolean, nullable_booleans
from zarr_vectors.formats.joining import join_column
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.axes import make_axes
from zarr_vectors.model.elements import bounding_box
from zarr_vectors.model.metadata import Bounds
from zarr_vectors.types.tables import Specs, make_columns, make_objects
from zarr_vectors.typing import AnyArray, IntArray
from zarr_vectors.write.bounds import as_stored, outside_rows
from zarr_vectors.write.frames import frame_columns, require_same_rows
from zarr_vectors.write.positions import as_positions, cast_positions, column_names, in_axis_order
from zarr_vectors.write.rounding import Rounding
from zarr_vectors.write.spilling import Spill, blocks
from zarr_vectors.write.streaming import POSITIONS, rows_within

OBJECT = "\0object"
"""Name of the column of object ids, which is no attribute."""

_KEYS = ("positions", "attributes", "object_ids")


@dataclass(slots=True)
class Arrivals:
    """Points that have arrived, in files; about the attributes only what is needed to read them back is in memory.

    Parameters
    ----------
    folder : Path
        Where they wait.
    dtype : numpy.dtype
        Stored precision of positions.
    specs : mapping, optional
        What is said of attributes, by name.
    bounds : pair of tuple of float, optional
        Bounds that are known before the points are; otherwise nothing is outside.
    policy : {"raise", "ignore", "expand"}
        What happens to points outside.
    keep_order : bool
        Whether the row of every point is kept.
    axes : sequence, optional
        Axes that the user named, or of the store that is kept.
    given, ignored : int
        Points so far, and how many of them were left out.
    rounding : Rounding
        How far storing moved the positions.
    ids : (O,) int64, optional
        Distinct object ids, ascending; None where points have no objects.
    """

    folder: Path
    dtype: np.dtype[Any]
    specs: Specs
    bounds: Bounds | None
    policy: str
    keep_order: bool
    axes: Any = None
    given: int = field(default=0, init=False)
    ignored: int = field(default=0, init=False)
    rounding: Rounding = field(init=False)
    ids: IntArray | None = field(default=None, init=False)
    described: dict[str, AttributeSpec] = field(default_factory=dict, init=False)
    _tables: dict[str, _Table | _Numbers | _Booleans] = field(default_factory=dict, init=False)
    _spill: Spill = field(init=False)
    _corners: tuple[AnyArray, AnyArray] | None = field(default=None, init=False)
    _whole: Bounds | None = field(default=None, init=False)
    _batches: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Open the files."""
        self._spill = Spill(self.folder / "given")

    @property
    def count(self) -> int:
        """Points that are kept."""
        return self._spill.count

    @property
    def batches(self) -> int:
        """Batches so far."""
        return self._batches

    @property
    def ndim(self) -> int:
        """Columns of the positions."""
        assert self._whole is not None
        return len(self._whole[0])

    @property
    def extent(self) -> Bounds:
        """Corners of all points given, those left out included."""
        assert self._whole is not None
        if self._corners is None:
            return self._whole
        return tuple(self._corners[0].tolist()), tuple(self._corners[1].tolist())

    def add(self, batch: Any) -> None:
        """Take a batch: an ``(n, D)`` array, or ``positions``, ``attributes`` and ``object_ids`` by name or as a tuple.

        Raises
        ------
        ArgumentError
            For a batch that cannot be used, or does not go with the first; names its number.
        """
        where = f"batches: batch {self._batches}"
        parts = parts_of_batch(where, batch)
        first = self._whole is None
        array = as_positions(f"{where}: positions", parts["positions"], None if first else self.ndim, axes=self.axes)
        named = column_names(f"{where}: positions", parts["positions"])
        if named is not None:
            names = [axis.name for axis in make_axes(array.shape[1], self.axes)]
            array = in_axis_order(f"{where}: positions", array, named, names)
        require_same_rows(f"{where}: attributes", parts["positions"], parts["attributes"], parts["object_ids"])
        stored, rounding = cast_positions(f"{where}: positions", array, self.dtype)
        columns = make_columns(f"{where}: attributes", parts["attributes"], len(stored), "point", self.specs)
        ids = self._ids(where, parts["object_ids"], len(stored), first)
        if first:
            self._start(where, stored, columns)
        values = {name: self._stored(where, name, column) for name, column in self._known(where, columns).items()}
        if self.keep_order:
            values[ORIGINAL_INDEX_ATTRIBUTE] = np.arange(self.given, self.given + len(stored), dtype=np.int64)
        if ids is not None:
            values[OBJECT] = ids
        self._keep(where, {POSITIONS: stored, **values})
        self.rounding = rounding if first else self.rounding + rounding
        self.given += len(stored)
        self._batches += 1

    def _start(self, where: str, stored: AnyArray, columns: Mapping[str, Column]) -> None:
        none = (0.0,) * stored.shape[1]
        self._whole = none, none
        if self.bounds is not None and len(self.bounds[0]) != stored.shape[1]:
            raise ShapeError(f"{where}: positions have {stored.shape[1]} columns, the bounds {len(self.bounds[0])}")
        if self.keep_order and ORIGINAL_INDEX_ATTRIBUTE in columns:
            raise ArgumentError(f"keep_order: an attribute named {ORIGINAL_INDEX_ATTRIBUTE!r} was given as well")
        self.described = {name: _form(column.spec) for name, column in columns.items()}
        self._tables = {name: made for name, spec in self.described.items() if (made := _table(spec)) is not None}
        if self.keep_order:
            self.described[ORIGINAL_INDEX_ATTRIBUTE] = AttributeSpec(dtype="int64")

    def _ids(self, where: str, object_ids: Any, count: int, first: bool) -> IntArray | None:
        objects = make_objects(object_ids, count, None)
        if not first and (objects is None) != (self.ids is None):
            held = "have none" if self.ids is None else "have some"
            raise ArgumentError(f"{where}: object_ids: the batches before {held}; all batches need them, or none")
        if objects is None:
            return None
        self.ids = objects.ids if self.ids is None else np.union1d(self.ids, objects.ids)
        return objects.ids[objects.of_vertex]

    def _known(self, where: str, columns: dict[str, Column]) -> dict[str, Column]:
        """Return the columns in the order of the first batch's; refuse others than those."""
        names = [name for name in self.described if not (self.keep_order and name == ORIGINAL_INDEX_ATTRIBUTE)]
        if set(columns) != set(names):
            raise ArgumentError(
                f"{where}: attributes: all batches must have those of the first: missing "
                f"{sorted(set(names) - set(columns))}, not in it {sorted(set(columns) - set(names))}"
            )
        return {name: columns[name] for name in names}

    def _stored(self, where: str, name: str, column: Column) -> AnyArray:
        """Return values in the form of the first batch; of categories, codes into a table of all that have come."""
        table, held = self._tables.get(name), self.described[name]
        if _form(column.spec) != held:
            column = self._joined(where, name, column)
        return column.values if table is None else table.codes(where, name, column)

    def _joined(self, where: str, name: str, column: Column) -> Column:
        """Return values of another form in that of the first batch, as appending to a store would take them."""
        table, held = self._tables.get(name), self.described[name]
        if isinstance(table, _Table):
            held = replace(held, categories=tuple(table.known), fill=MISSING_CODE, nullable=False)
        shape = (0,) if held.channels is None else (0, held.channels)
        try:
            joined = join_column(f"{where}: attributes", name, Column(np.zeros(shape, held.numpy_dtype), held), column)
        except ArgumentError as error:
            raise ArgumentError(
                f"{error}. The first batch says how {name!r} is stored, {_kind(held)}: give one first whose type holds "
                "the values of all, and categories that all have, or convert this batch"
            ) from error
        if isinstance(table, _Table):
            self.described[name] = replace(self.described[name], value_dtype=joined.spec.value_dtype)
        return joined

    def _keep(self, where: str, columns: dict[str, AnyArray]) -> None:
        stored = columns[POSITIONS]
        if len(stored):
            low, high = bounding_box(stored)
            held = self._corners or (low, high)
            self._corners = np.minimum(held[0], low), np.maximum(held[1], high)
        if self.bounds is not None and self.policy != "expand":
            outside = outside_rows(stored, as_stored(self.bounds, self.dtype))
            if len(outside) and self.policy == "raise":
                row = int(outside[0])
                raise OutOfBoundsError(
                    f"{where}: {len(outside)} of {len(stored)} positions lie outside the bounds {self.bounds}; row "
                    f"{row} is {stored[row].tolist()}. Pass out_of_bounds='expand' to grow the bounds or 'ignore' to "
                    "leave them out"
                )
            self.ignored += len(outside)
            if len(outside):
                columns = {name: np.delete(values, outside, axis=0) for name, values in columns.items()}
        self._spill.append(columns)

    def row_bytes(self) -> int:
        """Return how many bytes a row takes."""
        return sum(c.dtype.itemsize * int(np.prod(c.shape[1:], dtype=np.int64)) for c in self._spill.columns().values())

    def settle(self) -> dict[str, AttributeSpec]:
        """Return what is known of the attributes when the last batch has come."""
        for name, table in self._tables.items():
            self.described[name] = table.settle(self.described[name])
        return self.described

    def read(self, memory_budget: int) -> Iterator[dict[str, AnyArray]]:
        """Yield the points in their order, as many at a time as a budget in bytes allows, after :meth:`settle`."""
        columns = self._spill.columns()
        for first, last in blocks(self.count, rows_within(memory_budget, self.row_bytes())):
            block = {name: np.array(values[first:last]) for name, values in columns.items()}
            for name, table in self._tables.items():
                block[name] = table.settled(block[name], self.described[name])
            yield block

    def no_rows(self) -> dict[str, AnyArray]:
        """Return the columns without rows, after :meth:`settle`."""
        block = {name: np.array(values[:0]) for name, values in self._spill.columns().items()}
        settled = {name: table.settled(block[name], self.described[name]) for name, table in self._tables.items()}
        return {**block, **settled}

    def delete(self) -> None:
        """Delete the files."""
        self._spill.delete()


@dataclass(slots=True)
class _Table:
    """Categories that have come so far, in the order of their coming, and whether all came in order of their text."""

    ordered: bool
    known: dict[Any, int] = field(default_factory=dict)
    ascending: bool = True
    nullable: bool = False
    _order: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def codes(self, where: str, name: str, column: Column) -> AnyArray:
        """Return the codes of values in this table, which takes in the categories that it lacks; -1 is missing."""
        categories = list(column.spec.categories or ())
        if self.ordered and self.known and not set(categories) <= set(self.known):
            raise ArgumentError(
                f"{where}: attributes: {name!r} has ordered categories {categories}, in the first batch "
                f"{list(self.known)}; give the first batch all categories, in their order"
            )
        self.ascending &= all(isinstance(category, str) for category in categories) and categories == sorted(categories)
        for category in categories:
            self.known.setdefault(category, len(self.known))
        self.nullable |= bool(column.spec.nullable)
        lookup = np.array([*(self.known[category] for category in categories), -1], np.int32)
        return lookup[column.values]

    def settle(self, held: AttributeSpec) -> AttributeSpec:
        """Return what is known of the attribute, with categories as one batch of everything would have them."""
        categories = list(self.known)
        if self.ascending and not self.ordered:
            categories = sorted(categories)
        places = {category: place for place, category in enumerate(categories)}
        self._order = np.array([*(places[category] for category in self.known), -1], np.int64)
        dtype = np.dtype(code_type(len(categories))).name
        listed = tuple(categories)
        return replace(held, dtype=dtype, categories=listed, fill=MISSING_CODE, nullable=self.nullable)

    def settled(self, codes: AnyArray, spec: AttributeSpec) -> AnyArray:
        """Return codes into the categories in their final order."""
        return self._order[codes].astype(spec.numpy_dtype.newbyteorder("="))


@dataclass(slots=True)
class _Numbers:
    """Whole numbers: where some are missing, the extreme of their type says so, if it is no number of any batch."""

    nullable: bool = False
    taken: bool = False

    def codes(self, where: str, name: str, column: Column) -> AnyArray:
        """Return the numbers; the extreme where they are missing."""
        values, fill = column.values, column.spec.fill
        extreme = free_value(values[:0])
        self.nullable |= fill is not None
        self.taken |= free_value(values) != extreme if fill is None else fill != extreme
        if self.nullable and self.taken:
            raise ArgumentError(
                f"{where}: attributes: {name!r} has missing values and the number {extreme}, which means that in a "
                f"stream of {values.dtype}; give a wider type, or all points at once"
            )
        return values

    def settle(self, held: AttributeSpec) -> AttributeSpec:
        """Return what is known of the attribute when all batches have come."""
        return replace(held, fill=free_value(np.zeros(0, held.dtype)), nullable=True) if self.nullable else held

    def settled(self, values: AnyArray, spec: AttributeSpec) -> AnyArray:
        """Return the numbers."""
        return values


@dataclass(slots=True)
class _Booleans:
    """Booleans as codes, -1 where they are missing."""

    nullable: bool = False

    def codes(self, where: str, name: str, column: Column) -> AnyArray:
        """Return the codes."""
        self.nullable |= is_nullable_boolean(column.spec)
        return column.values.astype(np.int8)

    def settle(self, held: AttributeSpec) -> AttributeSpec:
        """Return what is known of the attribute when all batches have come."""
        return nullable_booleans(Column(np.zeros(0, np.int8), held))[1] if self.nullable else held

    def settled(self, values: AnyArray, spec: AttributeSpec) -> AnyArray:
        """Return the codes where some are missing, else booleans."""
        return values if self.nullable else values.astype(np.bool_)


def _table(spec: AttributeSpec) -> _Table | _Numbers | _Booleans | None:
    """Return what keeps account of missing values and categories of a column, where it can have some."""
    if spec.encoding == "dictionary":
        return _Table(spec.ordered)
    if spec.encoding is not None or spec.numpy_dtype.kind == "f":
        return None
    return _Booleans() if spec.dtype == "bool" else _Numbers()


def _form(spec: AttributeSpec) -> AttributeSpec:
    """Return what all batches must have in common: not which values are missing, and not the categories."""
    if is_nullable_boolean(spec):
        spec = replace(spec, dtype="bool", encoding=None, value_dtype=None, categorical=None)
    dtype = "int64" if spec.encoding == "dictionary" else spec.dtype
    return replace(spec, dtype=dtype, categories=None, fill=None, nullable=None)


def parts_of_batch(where: str, batch: Any) -> dict[str, Any]:
    """Return the parts of a batch by name, None for those it does not have."""
    if isinstance(batch, Mapping):
        unknown = [key for key in batch if key not in _KEYS]
        if unknown or "positions" not in batch:
            raise ArgumentError(f"{where}: expected the keys {', '.join(_KEYS)}, got {sorted(map(str, batch))}")
        return {key: batch.get(key) for key in _KEYS}
    if isinstance(batch, tuple) and len(batch) in (2, 3) and (batch[1] is None or _is_table(batch[1])):
        return dict(zip(_KEYS, (*batch, None), strict=False))
    return {"positions": batch, "attributes": None, "object_ids": None}


def _is_table(given: Any) -> bool:
    return isinstance(given, Mapping) or frame_columns("batches", given) is not None


def _kind(spec: AttributeSpec) -> str:
    """Return how values are stored, for messages."""
    stored = f"{spec.encoding} [{spec.time_unit}]" if spec.time_unit else spec.encoding or spec.dtype
    more = (spec.value_dtype, spec.time_zone, "ordered" if spec.ordered else None)
    stored = " ".join([stored, *(each for each in more if each)])
    return stored if spec.channels is None else f"{stored} with {spec.channels} channels"
