"""A store as plain dictionaries: what edits ought to do, and what a store holds in the same form.

Every vertex carries a number of its own in the attribute ``tag``, by which it is known whatever its place is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors.read.objects import read_column, read_groups, read_object_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

KINDS = ("cloud", "points", "paths", "lines", "graph", "skeleton", "mesh")
LINKED = ("graph", "skeleton", "mesh")
BOUNDS = ([0.0, 0.0, 0.0], [100.0, 100.0, 100.0])


@dataclass
class Plain:
    """What a store holds.

    Attributes
    ----------
    positions : dict of tag to tuple
    owners : dict of tag to object id; for paths in path order
    values : dict of attribute to dict of tag to value
    links : counts of (tags, value)
    objects : dict of object id to value of the object attribute ``weight``
    groups : dict of name to set of object ids
    """

    positions: dict[int, tuple[float, ...]] = field(default_factory=dict)
    owners: dict[int, int] = field(default_factory=dict)
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    links: Counter[Any] = field(default_factory=Counter)
    objects: dict[int, float] = field(default_factory=dict)
    groups: dict[str, set[int]] = field(default_factory=dict)

    def paths(self) -> dict[int, list[int]]:
        """Give the tags of every object in their order."""
        made: dict[int, list[int]] = {number: [] for number in self.objects}
        for tag, owner in self.owners.items():
            made[owner].append(tag)
        return made

    def drop(self, tags: set[int]) -> None:
        """Take vertices away, and the links at them."""
        for tag in tags:
            del self.positions[tag]
            self.owners.pop(tag, None)
            for column in self.values.values():
                del column[tag]
        self.links = Counter({key: n for key, n in self.links.items() if not tags & set(key[0])})


def start(kind: str, revision: str, path: str, seed: int, **options: Any) -> Plain:
    """Write a small store and give what it holds."""
    rng = np.random.default_rng(seed)
    n = 40
    owners = np.sort(rng.integers(0, 5, n)) * 2 if kind != "lines" else np.arange(n) // 2 * 2
    if kind == "paths":
        positions = np.clip(np.cumsum(rng.normal(0, 8, (n, 3)), axis=0) + 50, 0, 100)
    else:
        positions = rng.uniform(0, 100, (n, 3))
    positions = positions.astype(np.float32).astype(np.float64)
    tags = np.arange(n)
    plain = Plain({int(t): tuple(p) for t, p in zip(tags, positions.tolist(), strict=True)})
    plain.values["tag"] = {int(t): float(t) for t in tags}
    columns = {"tag": tags}
    common: dict[str, Any] = {
        "chunk_shape": 50,
        "bin_shape": 25,
        "bounds": BOUNDS,
        "format_version": revision,
        **options,
    }
    ids = np.unique(owners)
    described = {
        "object_attributes": {"weight": ids * 1.5},
        "groups": {"first": ids[:2].tolist(), "all": ids.tolist()},
    }
    if kind == "cloud":
        write_points(path, positions, attributes=columns, dtype="float64", **common)
        return plain
    plain.owners = {int(t): int(o) for t, o in zip(tags, owners, strict=True)}
    plain.objects = {int(i): float(i * 1.5) for i in ids}
    plain.groups = {"first": set(ids[:2].tolist()), "all": set(ids.tolist())}
    if kind == "points":
        write_points(path, positions, attributes=columns, object_ids=owners, dtype="float64", **described, **common)
    elif kind == "paths":
        parts = [positions[owners == i] for i in ids]
        write_polylines(path, parts, attributes=columns, object_ids=ids, dtype="float64", **described, **common)
    elif kind == "lines":
        ends, marks = positions.reshape(-1, 2, 3), {"tag": tags.reshape(-1, 2)}
        write_lines(path, ends, attributes=marks, object_ids=ids, dtype="float64", **described, **common)
    else:
        _start_linked(kind, path, plain, positions, owners, {**described, **common}, rng)
    return plain


def _start_linked(
    kind: str, path: str, plain: Plain, positions: Any, owners: Any, options: dict[str, Any], rng: Any
) -> None:
    n, columns = len(positions), {"tag": np.arange(len(positions))}
    options |= {"object_ids": owners, "dtype": "float64", "attributes": columns}
    if kind == "skeleton":
        links = np.array([[i, rng.integers(max(0, i - 3), i)] for i in range(1, n) if owners[i] == owners[i - 1]])
        links = np.array([[c, p if owners[p] == owners[c] else c - 1] for c, p in links.tolist()])
        write_graph(path, positions, links, kind="skeleton", **options)
        plain.links = Counter((tuple(link), 0.0) for link in links.tolist())
        return
    links = np.array([rng.choice(n, 3 if kind == "mesh" else 2, replace=False) for _ in range(50)])
    values = np.arange(50) * 0.5
    if kind == "mesh":
        write_mesh(path, positions, links, face_attributes={"mark": values}, **options)
    else:
        write_graph(path, positions, links, edge_attributes={"mark": values}, is_directed=True, **options)
    plain.links = Counter((tuple(link), v) for link, v in zip(links.tolist(), values.tolist(), strict=True))


@dataclass
class Seen:
    """A reading of level 0 in the order of the reader, and the same as plain dictionaries."""

    tags: list[int]
    links: list[tuple[int, ...]]
    plain: Plain


def see(kind: str, path: Any) -> Seen:
    """Read a store with the reader of its kind."""
    if kind in ("cloud", "points"):
        found: Any = read_points(path)
        return _seen(found.positions, found.attributes, found.object_ids, np.zeros((0, 2), np.int64), {})
    if kind == "paths":
        found = read_polylines(path)
        owners = np.repeat(found.object_ids, np.diff(found.offsets))
        return _seen(found.positions, found.attributes, owners, np.zeros((0, 2), np.int64), {})
    if kind == "lines":
        found = read_lines(path)
        ends = {name: values.reshape(-1) for name, values in found.attributes.items()}
        owners = np.repeat(found.object_ids, 2)
        return _seen(found.endpoints.reshape(-1, 3), ends, owners, np.zeros((0, 2), np.int64), {})
    if kind == "mesh":
        found = read_mesh(path)
        return _seen(found.vertices, found.attributes, found.object_ids, found.faces, found.face_attributes)
    found = read_graph(path)
    return _seen(found.positions, found.attributes, found.object_ids, found.edges, found.edge_attributes)


def _seen(positions: Any, attributes: Any, owners: Any, links: Any, marks: Any) -> Seen:
    tags = [int(tag) for tag in attributes["tag"]]
    assert len(set(tags)) == len(tags), "a vertex is there twice"
    plain = Plain(dict(zip(tags, map(tuple, positions.tolist()), strict=True)))
    if owners is not None:
        plain.owners = dict(zip(tags, owners.tolist(), strict=True))
    plain.values = {
        name: dict(zip(tags, map(float, values.tolist()), strict=True)) for name, values in attributes.items()
    }
    named = [tuple(tags[row] for row in link) for link in links.tolist()]
    values = marks["mark"].tolist() if "mark" in marks else [0.0] * len(named)
    plain.links = Counter(zip(named, values, strict=True))
    return Seen(tags, named, plain)


def tables_of(path: Any, level: int = 0) -> tuple[dict[int, float], dict[str, set[int]]]:
    """Read the attribute ``weight`` of every object of a level, and its groups by name."""
    reader = open_reader(path).level(level)
    ids, groups = read_object_ids(reader), read_groups(reader)
    assert ids is not None
    weights = read_column(reader, reader.arrays.object_attributes["weight"]).values
    names = [] if groups is None else groups.attributes["name"].values.tolist()
    members = {} if groups is None else {name: set(groups.of(g).tolist()) for g, name in enumerate(names)}
    return dict(zip(ids.tolist(), map(float, weights.tolist()), strict=True)), members
