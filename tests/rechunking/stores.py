"""Small stores of every kind, and what they hold, whatever their chunks are."""

from __future__ import annotations

import numpy as np

from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.objects import read_columns, read_groups
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

FACTORS = [(2.0, 1.0), (4.0, 2.0)]
PATHS = ("polylines", "shared", "deduplicated", "both", "lines")


def _many(count, rng):
    return {"length": rng.random(count) * 50, "label": np.array(["a", "b", "c"])[np.arange(count) % 3]}


def _points(path, rng, **more):
    n = 250
    positions = rng.uniform(-40, 60, (n, 3))
    attributes = {
        "x": positions[:, 0].copy(),
        "rgb": rng.integers(0, 255, (n, 3)).astype(np.uint8),
        "label": np.array(["p", "q", "rr"])[rng.integers(0, 3, n)],
        "seen": rng.random(n) < 0.5,
        "few": rng.integers(0, 4, n).astype(np.uint8),
    }
    write_points(path, positions, chunk_shape=40.0, bin_shape=10.0, dtype=np.float64, attributes=attributes, **more)


def _point_objects(path, rng, **more):
    n = 250
    ids = np.append(rng.integers(0, 9, n - 9), np.arange(9)) * 4 + 3
    write_points(
        path,
        rng.uniform(-40, 60, (n, 3)).astype(np.float32),
        chunk_shape=40.0,
        bin_shape=10.0,
        object_ids=ids,
        attributes={"w": rng.random(n), "few": rng.integers(0, 3, n)},
        object_attributes=_many(9, rng),
        groups={"one": [3, 7, 11], "two": [11, 15]},
        group_attributes={"score": [0.5, 1.5]},
        **more,
    )


def _walks(rng, count=9):
    return [np.cumsum(rng.normal(0, 9, (int(rng.integers(2, 25)), 3)), axis=0).astype(np.float32) for _ in range(count)]


def _polylines(path, rng, **more):
    walks = _walks(rng)
    write_polylines(
        path,
        walks,
        chunk_shape=20.0,
        vertex_attributes={"r": [walk[:, 0].copy() for walk in walks], "few": [np.arange(len(w)) % 3 for w in walks]},
        object_ids=np.arange(9)[::-1] * 2 + 1,
        object_attributes=_many(9, rng),
        groups={"one": [1, 3, 5], "two": [5, 7]},
        **more,
    )


def _shared(path, rng, **more):
    walks = _walks(rng, 4)
    walks = [*walks, *(np.concatenate([walk[: len(walk) // 2 + 1], walk[:1] + 70]) for walk in walks)]
    write_polylines(path, walks, chunk_shape=20.0, share_fragments=True, object_attributes=_many(8, rng), **more)


def _deduplicated(path, rng, **more):
    walks = _walks(rng)
    attributes = {"r": [walk[:, 0].copy() for walk in walks]}
    chosen = {"cross_chunk_strategy": "boundary_deduplication"} | more
    write_polylines(path, walks, chunk_shape=20.0, attributes=attributes, object_attributes=_many(9, rng), **chosen)


def _both(path, rng, **more):
    _deduplicated(path, rng, cross_chunk_strategy="both", **more)


def _identity(path, rng, **more):
    convention = {"chunk_shape": 1000.0, "bounds": ([0, 0, 0], [900, 900, 900]), "object_index_convention": "identity"}
    write_polylines(path, [np.abs(walk) for walk in _walks(rng)], object_attributes=_many(9, rng), **convention, **more)


def _lines(path, rng, **more):
    ends = rng.uniform(0, 90, (40, 2, 3)).astype(np.float32)
    write_lines(path, ends, chunk_shape=30.0, line_attributes=_many(40, rng), **more)


def _graph(path, rng, **more):
    edges = np.stack([rng.integers(0, 90, 70), np.zeros(70, np.int64)], axis=1)
    edges[:, 1] = np.minimum(89, edges[:, 0] + rng.integers(0, 9, 70))
    write_graph(
        path,
        np.sort(rng.uniform(0, 90, (90, 3)), axis=0).astype(np.float32),
        edges,
        geometry_type="graph",
        chunk_shape=30.0,
        object_ids=np.arange(90) % 3 * 5 + 1,
        node_attributes={"r": rng.random(90)},
        edge_attributes={"w": rng.random(70), "k": rng.integers(0, 9, 70)},
        object_attributes=_many(3, rng),
        **more,
    )


def _directed(path, rng, **more):
    _graph(path, rng, is_directed=True, **more)


def _duplicated(path, rng, **more):
    _graph(path, rng, store="duplicate", **more)


def _skeleton(path, rng, **more):
    parents = np.array([-1, *(rng.integers(max(0, i - 4), i) for i in range(1, 120))])
    parents[60] = -1
    steps = rng.normal(0, 8, (120, 3))
    positions = np.zeros((120, 3))
    for row in range(120):
        positions[row] = steps[row] + (positions[parents[row]] if parents[row] >= 0 else 0)
    edges = np.stack([np.arange(120), parents], axis=1)[parents >= 0]
    owners = np.zeros(120, np.int64)
    for row in range(120):
        owners[row] = owners[parents[row]] if parents[row] >= 0 else row + 7
    write_graph(
        path,
        positions.astype(np.float32),
        edges,
        geometry_type="skeleton",
        is_tree=True,
        chunk_shape=20.0,
        object_ids=owners,
        node_attributes={"radius": rng.random(120)},
        object_attributes=_many(2, rng),
        **more,
    )


def _mesh(path, rng, **more):
    steps = np.arange(9) * 10.0
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    vertices = np.concatenate([grid, rng.random((81, 1)) * 20], axis=1).astype(np.float32)
    corner = (np.arange(8)[:, None] * 9 + np.arange(8)).reshape(-1)
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + 9], axis=1), np.stack([corner + 1, corner + 10, corner + 9], axis=1)]
    )
    write_mesh(path, vertices, faces, chunk_shape=30.0, face_attributes={"area": rng.random(len(faces))}, **more)


MAKERS = {
    "points": _points,
    "point objects": _point_objects,
    "polylines": _polylines,
    "shared": _shared,
    "deduplicated": _deduplicated,
    "both": _both,
    "identity": _identity,
    "lines": _lines,
    "graph": _graph,
    "directed": _directed,
    "duplicated": _duplicated,
    "skeleton": _skeleton,
    "mesh": _mesh,
}


def make(kind, path, version, *, pyramid=True, seed=0):
    """Write a store of a kind, with two coarse levels."""
    MAKERS[kind](path, np.random.default_rng(seed), format_version=version)
    if pyramid:
        thin = FACTORS if kind not in ("points",) else [(2.0, 1.0), (4.0, 1.0)]
        build_pyramid(path, thin, sparsity_seed=0, cross_level_storage="explicit")
    return path


def contents(path):
    """Return what every level holds, as arrays that do not depend on chunks."""
    store = open_reader(path)
    return {number: _level(path, store, number) for number in store.level_numbers()}


def _level(path, store, number):
    kind = store.root.geometry_types[0]
    level = store.level(number)
    found = {} if kind != "point_cloud" else _of_points(path, number)
    if kind in ("polyline", "streamline"):
        found = _of_paths(read_polylines(path, level=number))
    elif kind == "line":
        result = read_lines(path, level=number)
        found = {"endpoints": result.endpoints, **{f"at {n}": v for n, v in result.attributes.items()}}
    elif kind in ("graph", "skeleton"):
        result = read_graph(path, level=number)
        found = _of_links(result, result.edges, result.edge_attributes, result.attributes)
    elif kind == "mesh":
        result = read_mesh(path, level=number)
        found = _of_links(result, result.faces, result.face_attributes, result.attributes)
    ids = ordered_object_ids(level)
    if ids is not None:
        found["ids"] = ids
    for name, column in read_columns(level, dict(level.arrays.object_attributes), None).items():
        found[f"object {name}"] = column.values
    groups = read_groups(level)
    if groups is not None:
        found |= {"members": groups.members, "group offsets": groups.offsets}
        found |= {f"group {name}": column.values for name, column in groups.attributes.items()}
    return found


def _of_points(path, number):
    result = read_points(path, level=number)
    columns = {"positions": result.positions, **{f"at {n}": v for n, v in result.attributes.items()}}
    if result.object_ids is not None:
        columns["object_ids"] = result.object_ids
    order = np.lexsort(
        [*result.positions.T, np.zeros(len(result.positions)) if result.object_ids is None else result.object_ids]
    )
    return {name: values[order] for name, values in columns.items()}


def _of_paths(result):
    columns = {f"at {n}": v for n, v in result.attributes.items()}
    return {"positions": result.positions, "offsets": result.offsets, "object_ids": result.object_ids, **columns}


def _of_links(result, links, link_attributes, vertex_attributes):
    positions = result.vertices if hasattr(result, "vertices") else result.positions
    ends = [positions[links[:, end]] for end in range(links.shape[1])]
    rows = np.concatenate([*ends, *(_flat(v) for v in link_attributes.values())], axis=1)
    vertices = [positions, *(_flat(v) for v in vertex_attributes.values())]
    if result.object_ids is not None:
        vertices.append(np.asarray(result.object_ids).reshape(-1, 1))
    table = np.concatenate(vertices, axis=1)
    return {"links": rows[np.lexsort(rows.T)], "vertices": table[np.lexsort(table.T)]}


def _flat(values):
    values = np.asarray(values)
    return values.reshape(len(values), int(np.prod(values.shape[1:], dtype=np.int64)))


def assert_same(before, after, *, but=()):
    """Compare two readings."""
    assert set(before) == set(after)
    for number in before:
        assert set(before[number]) - set(but) == set(after[number]) - set(but), number
        for name, values in before[number].items():
            if name in but:
                continue
            other = after[number][name]
            assert values.dtype == other.dtype, (number, name, values.dtype, other.dtype)
            np.testing.assert_array_equal(values, other, err_msg=f"level {number}: {name}")
