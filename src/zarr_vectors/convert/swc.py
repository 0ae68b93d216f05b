"""SWC files, the text format of neurons, to skeletons and back.

A line of an SWC file is ``id label x y z radius parent``; the parent of a root is -1; lines that start with ``#`` are
comments (SWC as described by Cannon et al. 1998).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, ArrayError, StoreNotFoundError, UnknownNameError
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import GraphResult, GraphSummary, read_graph, write_graph
from zarr_vectors.types.results import Result
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

METADATA_KEY = "swc"
ID_ATTRIBUTE, LABEL_ATTRIBUTE, RADIUS_ATTRIBUTE = "swc_id", "label", "radius"
NAME_ATTRIBUTE = "name"
_COLUMNS = 7


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
        Radii in the units of the file.
    label : (N,) int64
        What each node is: 0 undefined, 1 soma, 2 axon, 3 and 4 dendrites, 5 and up as the file means them.
    ids : (N,) int64
        Numbers of the nodes in the file.
    comments : tuple of str
        Lines of comment without their mark.
    """

    positions: FloatArray
    edges: IntArray
    radius: FloatArray
    label: IntArray
    ids: IntArray
    comments: tuple[str, ...] = ()


def read_swc(path: str | os.PathLike[str]) -> SwcNeuron:
    """Read an SWC file.

    Parameters
    ----------
    path : str or path
        The file.

    Raises
    ------
    StoreNotFoundError
        When there is no file.
    ArrayError
        When a line is not seven numbers, a number is used twice, or a parent is not there.
    """
    file = Path(path)
    if not file.is_file():
        raise StoreNotFoundError(f"{file}: there is no such file")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    comments = tuple(line.lstrip()[1:].strip() for line in lines if line.lstrip().startswith("#"))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*input contained no data", category=UserWarning)
            table = np.loadtxt(lines, comments="#", usecols=range(_COLUMNS), ndmin=2).reshape(-1, _COLUMNS)
    except ValueError as error:
        raise ArrayError(f"{file}: cannot be read as SWC, seven numbers a line: {error}") from error
    whole = table[:, [0, 1, 6]]
    if not (np.isfinite(table).all() and (whole == np.rint(whole)).all()):
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1) | (whole != np.rint(whole)).any(axis=1))[0])
        raise ArrayError(f"{file}: node {row} has a number, label or parent that is no whole number: {table[row]}")
    ids, label, parents = whole.astype(np.int64).T
    return SwcNeuron(table[:, 2:5].copy(), _edges(file, ids, parents), table[:, 5].copy(), label, ids, comments)


def _edges(file: Path, ids: IntArray, parents: IntArray) -> IntArray:
    """Return (child, parent) rows for numbers of nodes and of their parents."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    if (ordered[1:] == ordered[:-1]).any():
        raise ArrayError(f"{file}: number {int(ordered[1:][ordered[1:] == ordered[:-1]][0])} is given to several nodes")
    children = np.flatnonzero(parents != -1)
    wanted = parents[children]
    places = np.minimum(np.searchsorted(ordered, wanted), max(0, len(ids) - 1))
    missing = ordered[places] != wanted
    if missing.any():
        child = int(children[missing][0])
        raise ArrayError(f"{file}: the parent of node {int(ids[child])} is {int(parents[child])}, which is not there")
    return np.stack([children, order[places]], axis=1)


def ingest_swc(
    sources: Any,
    target: Any,
    *,
    object_ids: Sequence[int] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **options: Any,
) -> GraphSummary:
    """Make a store of SWC files, each a skeleton of its own.

    Radius, label and number of every node become attributes ``radius``, ``label`` and ``swc_id``; the names of the
    files the object attribute ``name``.

    Parameters
    ----------
    sources : path or sequence of paths
        The files.
    target : str, path, zarr Store or Group
        Where to write.
    object_ids : sequence of int, optional
        Object of every file; 0, 1, … by default.
    metadata : mapping, optional
        Your own metadata; the comments of the files are kept beside it, under ``swc``, by object id.
    **options
        Of :func:`~zarr_vectors.types.graphs.write_graph`. Positions are float64 unless ``dtype`` says otherwise, so
        that they are exact.

    Raises
    ------
    StoreNotFoundError, ArrayError
        As :func:`read_swc`.
    ArgumentError, StoreError
        As :func:`~zarr_vectors.types.graphs.write_graph`.
    """
    files = [Path(sources)] if isinstance(sources, (str, os.PathLike)) else [Path(source) for source in sources]
    if not files:
        raise ArgumentError("sources: expected at least one SWC file, got none")
    ids = list(range(len(files))) if object_ids is None else [int(number) for number in object_ids]
    if len(set(ids)) != len(files):
        raise ArgumentError(f"object_ids: expected {len(files)} different ids, one per file, got {ids[:10]}")
    neurons = [neuron for _, neuron in sorted(zip(ids, map(read_swc, files), strict=True), key=lambda pair: pair[0])]
    names = [file.stem for _, file in sorted(zip(ids, files, strict=True), key=lambda pair: pair[0])]
    comments = {str(number): list(n.comments) for number, n in zip(sorted(ids), neurons, strict=True) if n.comments}
    options.setdefault("dtype", np.float64)
    described = {**(options.pop("object_attributes", None) or {}), NAME_ATTRIBUTE: names}
    return write_graph(
        target,
        [neuron.positions for neuron in neurons],
        [neuron.edges for neuron in neurons],
        geometry_type="skeleton",
        is_directed=True,
        object_ids=sorted(ids),
        attributes={
            RADIUS_ATTRIBUTE: [neuron.radius for neuron in neurons],
            LABEL_ATTRIBUTE: [neuron.label for neuron in neurons],
            ID_ATTRIBUTE: [neuron.ids for neuron in neurons],
        },
        object_attributes=described,
        metadata={**(metadata or {}), METADATA_KEY: comments},
        **options,
    )


def export_swc(
    store: Any, path: str | os.PathLike[str], *, object_id: int | None = None, level: int = 0, **open_options: Any
) -> int:
    """Write one skeleton of a store as an SWC file.

    Parameters
    ----------
    store : str, path, zarr Store or open Group
        The store.
    path : str or path
        The file; replaced where it exists.
    object_id : int, optional
        Which object; may be left out where there is only one.
    level : int
        Resolution level, 0 the finest.
    **open_options
        ``backend`` and options of the object store.

    Returns
    -------
    int
        Number of nodes written: in the order of their ``swc_id`` at level 0, else numbered along the branches.

    Raises
    ------
    UnknownNameError
        When there is no such object.
    ArgumentError
        When there are several objects and none is named, positions have not three columns, or a node has several
        parents.
    """
    reader = open_reader(store, **open_options)
    index = reader.level(level).arrays.object_index
    if object_id is None and index is not None and index.count != 1:
        raise ArgumentError(f"object_id: {reader.storage.url} has {index.count} objects; name the one to export")
    found = read_graph(reader, level=level, object_ids=None if object_id is None else [object_id])
    if found.positions.shape[1] != 3:
        raise ArgumentError(f"SWC files hold three columns of positions, the store has {found.positions.shape[1]}")
    if found.node_count == 0 and object_id is not None:
        raise UnknownNameError(f"object_id: object {object_id} has no nodes at level {level}")
    rows = _swc_rows(found, numbered=level == 0)
    digits = 9 if found.positions.dtype.itemsize <= 4 else 17
    comments = (reader.attributes.get("user_metadata") or {}).get(METADATA_KEY) or {}
    header = "\n".join(comments.get(str(0 if object_id is None else object_id), ["id label x y z radius parent"]))
    numbers = ["%d", "%d", *[f"%.{digits}g"] * 3, "%.17g", "%d"]
    np.savetxt(path, rows, fmt=numbers, header=header, comments="# ", encoding="utf-8")
    return found.node_count


def _swc_rows(found: GraphResult, *, numbered: bool) -> AnyArray:
    """Return the lines of an SWC file ``(N, 7)``."""
    count = found.node_count
    parents = np.full(count, -1, np.int64)
    if len(np.unique(found.edges[:, 0])) != found.edge_count:
        raise ArgumentError("a node has several parents, which SWC files cannot say; export a skeleton")
    parents[found.edges[:, 0]] = found.edges[:, 1]
    ids = np.arange(1, count + 1)
    if numbered and ID_ATTRIBUTE in found.attributes:
        given = found.attributes[ID_ATTRIBUTE]
        ids = given if len(np.unique(given)) == count else ids
    rows = np.empty((count, _COLUMNS))
    rows[:, 0] = ids
    rows[:, 1] = found.attributes.get(LABEL_ATTRIBUTE, 0)
    rows[:, 2:5] = found.positions
    rows[:, 5] = found.attributes.get(RADIUS_ATTRIBUTE, 0)
    rows[:, 6] = np.where(parents >= 0, ids[parents], -1)
    return rows[np.argsort(ids, kind="stable")]
