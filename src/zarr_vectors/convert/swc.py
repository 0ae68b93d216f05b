"""SWC files, the text format of neurons, to skeletons and back."""

from __future__ import annotations

import operator
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors.constants import ORIGINAL_INDEX_ATTRIBUTE
from zarr_vectors.convert.headers import kept_metadata, with_header
from zarr_vectors.convert.paths import as_path, existing_file, whole_file
from zarr_vectors.convert.swc_text import SwcTable, decode_text, format_floats, format_text, parse_text
from zarr_vectors.exceptions import ArgumentError, LossWarning, StoreError, StoreNotFoundError, UnknownNameError
from zarr_vectors.read.objects import read_object_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.spatial.forests import roots_of
from zarr_vectors.types.graphs import GraphResult, GraphSummary, read_graph, write_graph
from zarr_vectors.types.results import Result
from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.write.frames import aligned_columns

METADATA_KEY = "swc"
ID_ATTRIBUTE, LABEL_ATTRIBUTE, RADIUS_ATTRIBUTE = "swc_id", "label", "radius"
NAME_ATTRIBUTE = "name"
_ROOT = -1
_ROOTS = (_ROOT, 0, -2)
"""What stands for the parent of a root, where no node has that number."""


@dataclass(frozen=True, slots=True, eq=False)
class SwcNeuron(Result):
    """The skeleton of an SWC file; fields also answer to ``neuron["positions"]``.

    Attributes
    ----------
    positions : (N, 3) float64
        Nodes in the order of the file, in its units.
    edges : (M, 2) int64
        (child, parent) rows of ``positions``.
    radius : (N,) float64
        Radii in the units of the file; NaN where one is missing.
    label : (N,) int64
        What each node is: 0 undefined, 1 soma, 2 axon, 3 and 4 dendrites, 5 and up as the file means them.
    ids : (N,) int64
        Numbers of the nodes in the file.
    comments : tuple of str
        Comments without their mark, those behind numbers as well.
    extra : dict of str to (N,) int64 or float64
        Columns beyond the seven, by the name in the first line, else ``column_8``, ….
    """

    positions: FloatArray
    edges: IntArray
    radius: FloatArray
    label: IntArray
    ids: IntArray
    comments: tuple[str, ...] = ()
    extra: dict[str, AnyArray] = field(default_factory=dict)


def read_swc(path: str | os.PathLike[str]) -> SwcNeuron:
    """Read an SWC file in any of its dialects; numbers of nodes are exact up to 64 bits.

    Columns may be divided by blanks, tabs or commas, named by a first line, and be more than seven; a text may begin
    with a byte order mark and end its lines in any way; whole numbers may be written ``1.0``. The parent of a root is
    -1, 0 or -2 where no node has that number, or the root itself. A radius may be missing (``nan``, ``NA``).

    Parameters
    ----------
    path : str or path
        The file.

    Raises
    ------
    StoreNotFoundError
        When there is no file.
    ArrayError
        When a line is not seven numbers, a number is used twice, a parent is not there, or parents run in a circle;
        names the line.
    """
    file = existing_file("path", path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror}") from error
    table = parse_text(decode_text(data), str(file))
    return SwcNeuron(table.positions, _edges(table), table.radius, table.label, table.ids, table.comments, table.extra)


def _edges(table: SwcTable) -> IntArray:
    """Return (child, parent) rows for numbers of nodes and of their parents."""
    ids, parents, lines = table.ids, table.parents, table.lines
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    again = ordered[1:] == ordered[:-1]
    if again.any():
        row = int(order[1:][again].min())
        raise lines.refusal(row, f"number {int(ids[row])} is given to several nodes")
    if (ids == _ROOT).any():
        raise lines.refusal(int(order[ordered == _ROOT][0]), f"a node has the number {_ROOT}, which means no parent")
    places = np.minimum(np.searchsorted(ordered, parents), max(0, len(ids) - 1))
    there = ordered[places] == parents if len(ids) else np.zeros(0, bool)
    missing = ~there & ~np.isin(parents, _ROOTS)
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise lines.refusal(row, f"the parent of node {int(ids[row])} is {int(parents[row])}, which is not there")
    rows = np.where(there & (parents != ids), order[places] if len(ids) else places, -1)
    circling = roots_of(rows) < 0
    if circling.any():
        row = int(np.flatnonzero(circling)[0])
        raise lines.refusal(row, f"node {int(ids[row])} has no root: its parents run in a circle")
    children = np.flatnonzero(rows >= 0)
    return np.stack([children, rows[children]], axis=1)


def ingest_swc(
    sources: Any,
    target: Any,
    *,
    object_ids: Iterable[int] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **options: Any,
) -> GraphSummary:
    """Make a store of SWC files, each a skeleton of its own.

    Radius, label and number of every node become attributes ``radius``, ``label`` and ``swc_id``, further columns
    attributes of their name; the names of the files the object attribute ``name``.

    Parameters
    ----------
    sources : path or sequence of paths
        The files.
    target : str, path, zarr Store or Group
        Where to write.
    object_ids : iterable of int, optional
        Object of every file; 0, 1, … by default, and what follows the highest id of the store with ``mode="a"``.
    metadata : mapping, optional
        Your own metadata; the comments of the files are kept beside it, under ``swc``, by object id, also when more
        files are appended.
    **options
        Of :func:`~zarr_vectors.types.graphs.write_graph`. Positions are float64 unless ``dtype`` says otherwise, so
        that they are exact.

    Raises
    ------
    StoreNotFoundError, ArrayError
        As :func:`read_swc`.
    ArgumentError, StoreError
        As :func:`~zarr_vectors.types.graphs.write_graph`; also when files differ in their further columns.
    """
    given = [sources] if isinstance(sources, (str, os.PathLike)) or not isinstance(sources, Iterable) else [*sources]
    files = [existing_file("sources", source) for source in given]
    if not files:
        raise ArgumentError("sources: expected at least one SWC file, got none")
    ids = _object_ids(object_ids, len(files), target, options)
    neurons = [read_swc(file) for file in files]
    for file, neuron in zip(files, neurons, strict=True):
        if list(neuron.extra) != list(neurons[0].extra):
            raise ArgumentError(
                f"sources: {file} has the further columns {list(neuron.extra)}, {files[0]} has "
                f"{list(neurons[0].extra)}; make stores of their own, or give them the same columns"
            )
    columns = {name: [neuron.extra[name] for neuron in neurons] for name in neurons[0].extra}
    comments = {str(number): list(neuron.comments) for number, neuron in zip(ids, neurons, strict=True)}
    options.setdefault("dtype", np.float64)
    given = options.pop("object_attributes", None)
    described = aligned_columns("object_attributes", given, np.array(ids, np.int64), "object")
    if NAME_ATTRIBUTE in described:
        raise ArgumentError(f"object_attributes: {NAME_ATTRIBUTE!r} holds the names of the files; use another name")
    described[NAME_ATTRIBUTE] = [file.stem for file in files]
    return write_graph(
        target,
        [neuron.positions for neuron in neurons],
        [neuron.edges for neuron in neurons],
        geometry_type="skeleton",
        is_directed=True,
        object_ids=ids,
        attributes={
            **columns,
            RADIUS_ATTRIBUTE: [neuron.radius for neuron in neurons],
            LABEL_ATTRIBUTE: [neuron.label for neuron in neurons],
            ID_ATTRIBUTE: [neuron.ids for neuron in neurons],
        },
        object_attributes=described,
        metadata=with_header(metadata, METADATA_KEY, comments, _join_comments),
        **options,
    )


def _object_ids(given: Iterable[int] | None, count: int, target: Any, options: Mapping[str, Any]) -> list[int]:
    """Return the object of every file."""
    if given is None:
        first = _next_id(target, options) if str(options.get("mode")) == "a" else 0
        return list(range(first, first + count))
    if not isinstance(given, Iterable):
        raise ArgumentError(f"object_ids: expected {count} different ids, one per file, got {given!r}")
    numbers = list(given)
    try:
        ids = [operator.index(number) for number in numbers]
    except TypeError:
        wrong = next(number for number in numbers if not hasattr(number, "__index__"))
        raise ArgumentError(
            f"object_ids: expected whole numbers of at most 64 bits, got {wrong!r} of {type(wrong).__name__}; convert "
            "them to int before they lose digits"
        ) from None
    if len(set(ids)) != count or len(ids) != count:
        raise ArgumentError(f"object_ids: expected {count} different ids, one per file, got {ids[:10]}")
    return ids


def _next_id(target: Any, options: Mapping[str, Any]) -> int:
    """Return the id behind all of a store's; 0 where there is none."""
    try:
        held = read_object_ids(open_reader(target, backend=options.get("backend")).level(0))
    except StoreNotFoundError:
        return 0
    return 0 if held is None or len(held) == 0 else int(held.max()) + 1


def _join_comments(held: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {**held, **{number: [*held.get(number, []), *lines] for number, lines in given.items()}}


def export_swc(
    store: Any, path: str | os.PathLike[str], *, object_id: int | None = None, level: int = 0, **open_options: Any
) -> int:
    """Write one skeleton of a store as an SWC file.

    Numbers are whole or the shortest decimals that give them back, roots have the parent -1, and a radius that is
    missing is ``nan``. Comments stand first. Other attributes of nodes have no place; a ``LossWarning`` names them.

    Parameters
    ----------
    store : str, path, zarr Store or open Group
        The store.
    path : str or path
        The file; replaced once the new one is complete.
    object_id : int, optional
        Which object; may be left out where there is only one.
    level : int
        Resolution level, 0 the finest.
    **open_options
        ``backend`` and options of the object store.

    Returns
    -------
    int
        Number of nodes written: with their ``swc_id`` and in its order at level 0 where every node has one of its
        own, else numbered from 1 along the branches.

    Raises
    ------
    UnknownNameError
        When there is no such object.
    ArgumentError
        When there are several objects and none is named, positions have not three columns, a node has several
        parents, or ``radius`` or ``label`` hold something else than a number of every node.
    StoreError
        When the file cannot be written; what was there is there as before.
    """
    place = as_path("path", path)
    reader = open_reader(store, **open_options)
    index = reader.level(level, own=True).arrays.object_index
    if object_id is None and index is not None and index.count != 1:
        raise ArgumentError(f"object_id: {reader.storage.url} has {index.count} objects; name the one to export")
    found = read_graph(reader, level=level, object_ids=None if object_id is None else [object_id])
    if found.positions.shape[1] != 3:
        raise ArgumentError(f"SWC files hold three columns of positions, the store has {found.positions.shape[1]}")
    if found.node_count == 0 and object_id is not None:
        raise UnknownNameError(f"object_id: object {object_id} has no nodes at level {level}")
    columns = _swc_columns(found, numbered=level == 0)
    only = read_object_ids(reader.level(level)) if object_id is None else None
    number = object_id if only is None or len(only) == 0 else int(only[0])
    comments = kept_metadata(reader, METADATA_KEY).get(
        str(0 if number is None else number), ["id label x y z radius parent"]
    )
    known = {RADIUS_ATTRIBUTE, LABEL_ATTRIBUTE, ID_ATTRIBUTE, ORIGINAL_INDEX_ATTRIBUTE}
    lost = sorted(set(found.attributes) - known)
    if lost:
        warnings.warn(f"{place}: SWC files have no place for the attributes {lost}", LossWarning, stacklevel=2)
    with whole_file(place) as file:
        file.write(format_text(columns, comments).encode())
    return found.node_count


def _swc_columns(found: GraphResult, *, numbered: bool) -> list[AnyArray]:
    """Return the seven columns of an SWC file as texts."""
    count = found.node_count
    if len(np.unique(found.edges[:, 0])) != found.edge_count:
        raise ArgumentError("a node has several parents, which SWC files cannot say; export a skeleton")
    ids = np.arange(1, count + 1)
    given = found.attributes.get(ID_ATTRIBUTE)
    if numbered and given is not None and given.dtype.kind in "iu" and not np.ma.is_masked(given):
        ids = np.ma.getdata(given) if len(np.unique(given)) == count else ids
    order = np.argsort(ids, kind="stable")
    rows = np.full(count, _ROOT)
    rows[found.edges[:, 0]] = found.edges[:, 1]
    rows = rows[order]
    parents = np.where(rows < 0, str(_ROOT), ids[rows].astype(np.str_))
    label, radius = _numbers_of(found, LABEL_ATTRIBUTE, "iu"), _numbers_of(found, RADIUS_ATTRIBUTE, "iuf")
    numbers = [*found.positions[order].T, radius[order]]
    return [ids[order].astype(np.str_), label[order].astype(np.str_), *map(format_floats, numbers), parents]


def _numbers_of(found: GraphResult, name: str, kinds: str) -> AnyArray:
    """Return an attribute of the nodes that an SWC file has a column for; zeros where the store has none."""
    values = found.attributes.get(name)
    if values is None:
        return np.zeros(found.node_count, np.int64)
    if values.dtype.kind not in kinds or values.ndim != 1 or np.ma.is_masked(values):
        raise ArgumentError(
            f"{name}: an SWC file holds one {'whole ' if 'f' not in kinds else ''}number a node, the attribute has "
            f"dtype {values.dtype}, shape {values.shape}{' and missing values' if np.ma.is_masked(values) else ''}"
        )
    return np.ma.getdata(values)
