"""What the chunks of a level go by before space, as its metadata describe it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.elements import Groups
from zarr_vectors.model.metadata import CHUNK_ATTRIBUTE, CHUNKED_BY, LevelMetadata
from zarr_vectors.rechunking.binning import OBJECT, VERTEX, Values, comparable, group_codes
from zarr_vectors.rechunking.spec import GROUP, OBJECT_ID, SPATIAL, RechunkSpec
from zarr_vectors.typing import AnyArray, BoolArray, IntArray


@dataclass(frozen=True, slots=True)
class Described:
    """What the first component of chunk keys goes by.

    Parameters
    ----------
    spec : RechunkSpec
        Groups, object ids, or an attribute.
    scope : {"object", "vertex"}
        Whether all vertices of an object have one bin.
    labels : tuple
        What each bin holds, without the last one that holds what has no value.
    values : Values, optional
        Bins of values; None under ``by="group"``.
    """

    spec: RechunkSpec
    scope: str
    labels: tuple[Any, ...]
    values: Values | None

    @property
    def rest(self) -> int:
        """Bin of what has no value, or is in no group."""
        return len(self.labels)

    def fits(self, column: Column) -> bool:
        """Return whether values are of the kind that bins are of."""
        if self.values is None or column.values.ndim != 1:
            return False
        held = self.labels[0] if self.labels else None
        text = comparable(column).dtype.kind in "OU"
        return held is None or isinstance(held, str) == text

    def of_column(self, column: Column) -> tuple[IntArray, BoolArray]:
        """Return the bin of every value, and which of them have a value that no bin is for."""
        assert self.values is not None
        given = comparable(column)
        codes = self.values.codes(given)
        return codes, (codes == self.rest) & self.values.known(given)

    def of_objects(
        self, ids: IntArray, attributes: dict[str, Column], groups: Groups | None
    ) -> tuple[IntArray, BoolArray] | None:
        """Return the bins of objects as :meth:`of_column` does; None where they cannot be derived.

        Parameters
        ----------
        ids : (O,) int64
            The objects.
        attributes : mapping of str to Column
            Their attributes.
        groups : Groups, optional
            Groups that they may be in.
        """
        if self.spec.by == GROUP:
            none = np.zeros(len(ids), bool)
            if groups is None or groups.count == 0:
                return np.full(len(ids), self.rest, np.int64), none
            order = np.argsort(ids, kind="stable")
            codes = np.empty(len(ids), np.int64)
            codes[order] = group_codes(groups, ids[order])[0]
            return np.where(codes == groups.count, self.rest, codes), none
        column = attributes.get(self.spec.attribute or "")
        if self.spec.by == OBJECT_ID:
            column = Column(ids, AttributeSpec(dtype="int64"))
        return self.of_column(column) if column is not None and self.fits(column) else None


def read_description(metadata: LevelMetadata) -> Described | None:
    """Return what chunks go by before space; None where a level does not say it in a form that is understood."""
    said = metadata.extra.get(CHUNKED_BY)
    if (
        not isinstance(said, dict)
        or said.get("scope") not in (OBJECT, VERTEX)
        or not isinstance(said.get("bins"), list)
    ):
        return None
    try:
        spec = RechunkSpec(said.get("by"))  # type: ignore[arg-type]
    except ArgumentError:
        return None
    labels = tuple(said["bins"][:-1] if said["bins"] and said["bins"][-1] is None else said["bins"])
    if spec.by == SPATIAL:
        return None
    if spec.by == GROUP:
        return Described(spec, OBJECT, labels, None)
    values = _values(labels, exact=bool(said.get("exact")))
    return None if values is None else Described(spec, said["scope"], labels, values)


def _values(labels: tuple[Any, ...], *, exact: bool) -> Values | None:
    if not all(isinstance(label, (bool, int, float, str)) for label in labels):
        return None
    array: AnyArray = np.array(labels)
    if array.dtype.kind == "f" and all(type(label) is int for label in labels):
        array = np.array(labels, np.uint64)  # NumPy takes the largest of them for floats
    if array.ndim != 1 or (array[1:] <= array[:-1]).any() or len({isinstance(label, str) for label in labels}) > 1:
        return None
    if exact:
        return Values(distinct=array)
    return None if array.dtype.kind == "U" else Values(edges=labels)


def with_rest(metadata: LevelMetadata, highest: int) -> LevelMetadata:
    """Return metadata of a level that may now have chunks of what has no value, which its bins name as None.

    Parameters
    ----------
    metadata : LevelMetadata
        As it was.
    highest : int
        The highest first component of a chunk key.
    """
    described = read_description(metadata)
    if described is None or highest < described.rest:
        return metadata
    said = {**metadata.extra[CHUNKED_BY], "bins": [*described.labels, None]}
    return replace(
        metadata,
        chunk_attribute_name=None,
        chunk_attribute_values=None,
        extra={**{key: value for key, value in metadata.extra.items() if key != CHUNK_ATTRIBUTE}, CHUNKED_BY: said},
    )
