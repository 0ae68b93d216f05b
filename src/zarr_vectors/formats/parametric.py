"""Parametric objects ⇄ the nodes of the ``parametric`` group, which both revisions spell alike.

``objects`` is a float64 array whose rows are a type id, coefficients, and zeros; ``names`` and ``groups`` are lists of
byte strings; attributes are dense arrays (Zarr Vectors specification, parametric objects).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from zarr_vectors.constants import GROUP_ATTRIBUTES, GROUPS, OBJECT_ATTRIBUTES, PARAMETRIC
from zarr_vectors.exceptions import ArgumentError, ArrayError, MetadataError
from zarr_vectors.formats.dense_array import ZarrDense, encode_column, encode_values
from zarr_vectors.formats.documents import group_document
from zarr_vectors.formats.layout import Blobs, LevelOptions
from zarr_vectors.formats.objects import group_payloads
from zarr_vectors.formats.vlen_array import VlenArray, encode_vlen
from zarr_vectors.model.attributes import Column
from zarr_vectors.model.elements import Groups
from zarr_vectors.model.parametric import ParametricTable, ParametricTypeDef
from zarr_vectors.ordering import offsets_of
from zarr_vectors.storage.port import BlobParts, Range, is_address
from zarr_vectors.typing import ByteArray, Document, IntArray

TYPES_KEY = "parametric_types"
NODES_KEY = "nodes"
OBJECTS = f"{PARAMETRIC}/objects"
NAMES = f"{PARAMETRIC}/names"
MEMBERS = f"{PARAMETRIC}/{GROUPS}"
_FAMILIES = (OBJECT_ATTRIBUTES, GROUP_ATTRIBUTES)


def types_document(types: Iterable[ParametricTypeDef]) -> Document:
    """Return the registry of types as a JSON object.

    Raises
    ------
    ArgumentError
        When two types have one id, or one name.
    """
    listed = sorted(types, key=lambda one: one.type_id)
    keyed: list[tuple[str, list[Any]]] = [("id", [t.type_id for t in listed]), ("name", [t.name for t in listed])]
    for what, keys in keyed:
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise ArgumentError(f"types: two of them have the {what} {twice[0]!r}")
    return {str(one.type_id): one.document() for one in listed}


def parse_types(attributes: Document, where: str) -> tuple[ParametricTypeDef, ...]:
    """Return the types of a registry, by ascending id; none where there is none.

    Raises
    ------
    MetadataError
        The registry is malformed.
    """
    registry = attributes.get(TYPES_KEY) or {}
    try:
        types = [
            ParametricTypeDef(int(key), entry["name"], list(entry["coefficients"])) for key, entry in registry.items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MetadataError(f"{where}: {PARAMETRIC}: malformed type registry: {error}") from error
    return tuple(sorted(types, key=lambda one: one.type_id))


def known_nodes(attributes: Document) -> list[str]:
    """Return the paths of the nodes of the group that are there, as far as its attributes tell."""
    listed = attributes.get(NODES_KEY)
    named = [name for name in listed if is_address(name)] if isinstance(listed, list) else []
    return sorted({OBJECTS, NAMES, MEMBERS, *(f"{PARAMETRIC}/{name}" for name in named)})


@dataclass(frozen=True, slots=True)
class ParametricArrays:
    """Every array of the ``parametric`` group, ready to be read.

    Parameters
    ----------
    types : tuple of ParametricTypeDef
        The registry.
    objects : ZarrDense
        Type id and coefficients.
    names, groups : VlenArray, optional
        Names of objects, and members of groups.
    attributes, group_attributes : mapping of str to ZarrDense
        By name.
    """

    types: tuple[ParametricTypeDef, ...]
    objects: ZarrDense
    names: VlenArray | None
    groups: VlenArray | None
    attributes: Mapping[str, ZarrDense] = field(default_factory=dict)
    group_attributes: Mapping[str, ZarrDense] = field(default_factory=dict)

    @classmethod
    def open(cls, attributes: Document, documents: Mapping[str, Document], where: str) -> ParametricArrays:
        """Open the arrays from the metadata of the group's nodes, by path below the root of the store.

        Raises
        ------
        MetadataError
            When there are no objects, or the metadata of a node is malformed.
        """
        if OBJECTS not in documents:
            raise MetadataError(f"{where}: {PARAMETRIC} has types but no objects")
        families: list[dict[str, ZarrDense]] = [
            {
                path.rpartition("/")[2]: ZarrDense(path, document)
                for path, document in documents.items()
                if path.startswith(f"{PARAMETRIC}/{family}/")
            }
            for family in _FAMILIES
        ]
        lists = [VlenArray(path, documents[path]) if path in documents else None for path in (NAMES, MEMBERS)]
        objects = ZarrDense(OBJECTS, documents[OBJECTS])
        if len(objects.shape) != 2 or objects.shape[1] < 1:
            raise MetadataError(f"{where}: {OBJECTS}: expected rows of a type and coefficients, got {objects.shape}")
        return cls(parse_types(attributes, where), objects, lists[0], lists[1], *families)

    def requests(self) -> list[Range]:
        """Return the ranges of everything."""
        return [request for _, array in self._arrays() for request in array.requests(None)]

    def _arrays(self) -> list[tuple[str, Any]]:
        lists = [(NAMES, self.names), (MEMBERS, self.groups)]
        return [
            (OBJECTS, self.objects),
            *((path, array) for path, array in lists if array is not None),
            *((f"{OBJECT_ATTRIBUTES}/{name}", array) for name, array in self.attributes.items()),
            *((f"{GROUP_ATTRIBUTES}/{name}", array) for name, array in self.group_attributes.items()),
        ]

    def decode(self, blobs: Blobs) -> ParametricTable:
        """Return what came back for :meth:`requests` as a table.

        Raises
        ------
        ArrayError
            When an object names a type that the registry does not have, or lengths differ.
        """
        values: dict[str, Any] = {}
        start = 0
        for path, array in self._arrays():
            plan = array.requests(None)
            values[path] = array.decode(blobs[start : start + len(plan)], None)
            start += len(plan)
        rows = np.asarray(values[OBJECTS], np.float64)
        type_ids = _checked_types(rows[:, 0], self.types)
        names = _text(*values[NAMES]) if NAMES in values else None
        columns = {name: Column(values[f"{OBJECT_ATTRIBUTES}/{name}"], a.spec) for name, a in self.attributes.items()}
        lengths = {name: len(column) for name, column in columns.items()}
        lengths |= {} if names is None else {"names": len(names)}
        for name, length in lengths.items():
            if length != len(rows):
                raise ArrayError(f"{PARAMETRIC}: {name} has {length} rows for {len(rows)} objects")
        groups = None
        if MEMBERS in values:
            buffer, offsets = values[MEMBERS]
            if len(buffer) % 8 or (offsets % 8).any():
                raise ArrayError(f"{MEMBERS}: member lists must be whole int64 numbers")
            members = np.frombuffer(np.ascontiguousarray(buffer), "<i8").astype(np.int64)
            described = {
                name: Column(values[f"{GROUP_ATTRIBUTES}/{name}"], a.spec) for name, a in self.group_attributes.items()
            }
            for name, column in described.items():
                if len(column) != len(offsets) - 1:
                    raise ArrayError(f"{MEMBERS}: {name} has {len(column)} rows for {len(offsets) - 1} groups")
            groups = Groups(members, offsets // 8, described)
        table = ParametricTable(self.types, type_ids, rows[:, 1:], names, columns, groups)
        # What stands behind the last coefficient is not always zero: other writers put NaN there.
        beyond = np.arange(rows.shape[1] - 1) >= table.lengths()[:, None]
        return replace(table, coefficients=np.where(beyond, 0.0, rows[:, 1:]))


def _checked_types(numbers: Any, types: tuple[ParametricTypeDef, ...]) -> IntArray:
    known = np.array([one.type_id for one in types], np.float64)
    unknown = ~np.isin(numbers, known)
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise ArrayError(f"{OBJECTS}: object {row} is of type {numbers[row]:g}, which the registry does not have")
    return np.asarray(numbers, np.int64)


def _text(buffer: ByteArray, offsets: IntArray) -> tuple[str, ...]:
    joined = buffer.tobytes()
    bounds = offsets.tolist()
    return tuple(joined[a:b].decode() for a, b in pairwise(bounds))


def encode_parametric(table: ParametricTable, options: LevelOptions) -> list[tuple[str, BlobParts]]:
    """Return the objects of the ``parametric`` group, its own metadata last."""
    rows = np.concatenate([table.type_ids[:, None].astype(np.float64), table.coefficients], axis=1)
    document = {
        "zv_array": "parametric_objects",
        "num_objects": table.count,
        "max_row_length": rows.shape[1],
        "dtype": "float64",
    }
    objects: list[tuple[str, BlobParts]] = [*encode_values(OBJECTS, rows, options, 0.0, document)]
    nodes = [OBJECTS]
    codecs = options.table_codecs()
    if table.names is not None:
        text = [name.encode() for name in table.names]
        buffer = np.frombuffer(b"".join(text), np.uint8)
        about = {"zv_array": "parametric_names", "num_objects": table.count}
        offsets = offsets_of(np.array([len(t) for t in text], np.int64))
        objects += encode_vlen(NAMES, buffer, offsets, max(1, table.count), codecs, about)
        nodes.append(NAMES)
    families = [(OBJECT_ATTRIBUTES, "object_attribute", table.attributes)]
    if table.groups is not None:
        buffer, offsets = group_payloads(table.groups)
        about = {"zv_array": "groups", "num_groups": table.groups.count}
        objects += encode_vlen(MEMBERS, buffer, offsets, max(1, table.groups.count), codecs, about)
        nodes.append(MEMBERS)
        families.append((GROUP_ATTRIBUTES, "groupings_attribute", table.groups.attributes))
    for family, kind, columns in families:
        if not columns:
            continue
        objects.append((f"{PARAMETRIC}/{family}/zarr.json", _json(group_document({}))))
        for name, column in columns.items():
            objects += encode_column(f"{PARAMETRIC}/{family}/{name}", kind, name, column, options)
            nodes.append(f"{PARAMETRIC}/{family}/{name}")
    about = {TYPES_KEY: types_document(table.types), NODES_KEY: [path[len(PARAMETRIC) + 1 :] for path in nodes]}
    return [*objects, (f"{PARAMETRIC}/zarr.json", _json(group_document(about)))]


def _json(document: Document) -> bytes:
    return json.dumps(document).encode()
