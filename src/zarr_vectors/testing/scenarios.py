"""Everything in this package that changes a store, as small named cases for crash tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors import edit
from zarr_vectors.core.bounds import set_bounds
from zarr_vectors.core.multiscale import remove_resolution_level
from zarr_vectors.core.sharding import shard_store, unshard_store
from zarr_vectors.core.store import consolidate_metadata, create_store, open_store
from zarr_vectors.distributed import append_partition, partitions
from zarr_vectors.exceptions import UnknownNameError
from zarr_vectors.formats.detection import DEFAULT_REVISION, REVISIONS
from zarr_vectors.lazy import open_zv
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid, coarsen_level
from zarr_vectors.rechunking.rebinning import rebin_store
from zarr_vectors.rechunking.running import rechunk
from zarr_vectors.rechunking.spec import RechunkSpec
from zarr_vectors.repair import repair
from zarr_vectors.storage.port import Range, Storage
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.parametric import write_parametric
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.typing import FloatArray

BOUNDS = ([0.0, 0.0, 0.0], [100.0, 100.0, 50.0])
COUNT = 40
GROWN = ([0.0, 0.0, 0.0], [200.0, 100.0, 50.0])
SHRUNK = ([0.0, 0.0, 0.0], [50.0, 100.0, 50.0])

Write = Callable[[Any, str, int, str], None]
Run = Callable[[Any, str], Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One change of one kind of store.

    Parameters
    ----------
    name : str
        What is done, to which kind, in which revision.
    kind : str
        ``"points"``, ``"polylines"``, ``"lines"``, ``"graph"`` or ``"mesh"``.
    revision : str
        Format revision.
    prepare : function or None
        Writes the store that is there before, whose rows have been acknowledged; None where nothing is there.
    run : function
        Makes the change to the store at a place, given the folder of a store of the same kind to read from.
    is_damaged : bool
        Whether the store that is there before cannot be trusted until it is repaired.
    """

    name: str
    kind: str
    revision: str
    prepare: Callable[[Any], None] | None
    run: Run
    is_damaged: bool = False


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _somewhere(rng: np.random.Generator, *counts: int) -> FloatArray:
    """Return positions within the bounds."""
    return rng.uniform(*BOUNDS, (*counts, 3)).astype(np.float32)


def _options(revision: str, mode: str) -> dict[str, Any]:
    shapes: dict[str, Any] = {} if mode == "a" else {"chunk_shape": 50, "bin_shape": 25, "bounds": BOUNDS}
    return {"format_version": revision, "mode": mode, **shapes}


def write_some_points(place: Any, revision: str, seed: int = 0, mode: str = "w") -> None:
    """Write 40 points in objects, with attributes and groups."""
    rng = _rng(seed)
    owners = np.sort(rng.integers(0, 5, COUNT)) + 10 * seed
    ids = np.unique(owners)
    write_points(
        place,
        _somewhere(rng, COUNT),
        attributes={"tag": np.arange(COUNT) + 1000 * seed, "height": rng.normal(size=COUNT)},
        object_ids=owners,
        object_attributes={"weight": ids * 1.5},
        groups={"first": ids[:2].tolist(), "all": ids.tolist()},
        **_options(revision, mode),
    )


def write_some_polylines(place: Any, revision: str, seed: int = 0, mode: str = "w") -> None:
    """Write five paths of eight vertices with an attribute."""
    rng = _rng(seed)
    steps = np.cumsum(rng.normal(0, 12, (5, 8, 3)), axis=1) + np.array([50, 50, 25])
    paths = list(np.clip(steps, *BOUNDS).astype(np.float32))
    write_polylines(place, paths, attributes={"tag": np.arange(40) + 1000 * seed}, **_options(revision, mode))


def write_some_lines(place: Any, revision: str, seed: int = 0, mode: str = "w") -> None:
    """Write 20 segments."""
    rng = _rng(seed)
    write_lines(place, _somewhere(rng, 20, 2), **_options(revision, mode))


def write_some_graph(place: Any, revision: str, seed: int = 0, mode: str = "w") -> None:
    """Write a graph of 40 nodes and 50 edges, with attributes of both."""
    rng = _rng(seed)
    edges = np.array([rng.choice(COUNT, 2, replace=False) for _ in range(50)])
    write_graph(
        place,
        _somewhere(rng, COUNT),
        edges,
        attributes={"tag": np.arange(COUNT) + 1000 * seed},
        edge_attributes={"mark": np.arange(50) * 0.5},
        **_options(revision, mode),
    )


def write_some_mesh(place: Any, revision: str, seed: int = 0, mode: str = "w") -> None:
    """Write a mesh of 40 vertices and 50 triangles."""
    rng = _rng(seed)
    faces = np.array([rng.choice(COUNT, 3, replace=False) for _ in range(50)])
    vertices = _somewhere(rng, COUNT)
    write_mesh(place, vertices, faces, attributes={"tag": np.arange(COUNT) + 1000 * seed}, **_options(revision, mode))


WRITERS: dict[str, Write] = {
    "points": write_some_points,
    "polylines": write_some_polylines,
    "lines": write_some_lines,
    "graph": write_some_graph,
    "mesh": write_some_mesh,
}
READERS: dict[str, Callable[..., Any]] = {
    "points": read_points,
    "polylines": read_polylines,
    "lines": read_lines,
    "graph": read_graph,
    "mesh": read_mesh,
}


def _shell(place: Any, revision: str) -> None:
    create_store(place, bounds=BOUNDS, chunk_shape=[50, 50, 50], format_version=revision)


def _pyramid(place: Any, **options: Any) -> None:
    build_pyramid(place, [(2.0, 1.0)], sparsity_seed=1, **options)


def _append_vertices(place: Any, revision: str) -> None:
    edit.append_vertices(
        place,
        [[1.0, 2.0, 3.0], [99.0, 98.0, 47.0]],
        object_ids=[90, 91],
        attributes={"tag": [99, 98], "height": [0.5, 0.25]},
        object_attributes={"weight": [5.0, 6.0]},
    )


def _append_partition(place: Any, revision: str) -> None:
    positions = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    every = partitions(place)
    append_partition(
        place,
        every[int(every.of(positions)[0])],
        positions,
        object_ids=[90, 91],
        attributes={"tag": [99, 98], "height": [0.5, 0.25]},
        object_attributes={"weight": [5.0, 6.0]},
    )


def _append_path(place: Any, revision: str) -> None:
    positions = np.array([[1.0, 2.0, 3.0], [99.0, 8.0, 7.0], [98.0, 9.0, 8.0], [2.0, 3.0, 4.0]])
    every = partitions(place)
    keys = [every[number].key for number in np.unique(every.of(positions)).tolist()]
    append_partition(place, keys, positions, object_ids=90, attributes={"tag": np.arange(4)})


def _writer(place: Any, revision: str) -> None:
    with open_zv(place, mode="r+") as dataset, dataset[0].writer() as writer:
        writer.add_attribute_sync("score", np.arange(float(COUNT)))
        writer.append_vertices_sync(
            [[7.0, 8.0, 9.0]],
            object_ids=[77],
            attributes={"tag": [7], "height": [7.0], "score": [7.0]},
            object_attributes={"weight": [7.0]},
        )


def _littered(place: Any, revision: str) -> None:
    """Write points and cells that no metadata lists."""
    write_some_points(place, revision)
    storage: Storage = resolve_storage(place, mode="r+")
    is_grid = storage.exists("0/vertices/c/0/0/0")
    stray = "0/vertices/c/{0}/{0}/{0}" if is_grid else "0/vertex_attributes/tag/0.0.0/c/{0}"
    storage.put_many([(stray.format(number), b"stray") for number in range(6, 9)])


def _with_bounds(place: Any, bounds: Any, *, force: bool = False) -> None:
    set_bounds(open_store(place, mode="r+"), bounds, force=force)


def _damaged(place: Any, revision: str) -> None:
    write_some_points(place, revision)
    storage: Storage = resolve_storage(place, mode="r+")
    blob = bytes(storage.get_many([_ROOT])[0] or b"")
    storage.put_many([("zarr.json", blob.replace(b'"bounds"', b'"bounds_were"', 1))])


_ROOT = Range("zarr.json")


def _with_pyramid(place: Any, revision: str, kind: str = "points") -> None:
    WRITERS[kind](place, revision, 0, "w")
    _pyramid(place)


def _consolidated(place: Any, revision: str) -> None:
    write_some_points(place, revision)
    consolidate_metadata(place)


POINT_CHANGES: dict[str, tuple[Callable[[Any, str], None] | None, Run]] = {
    "fill a shell": (_shell, lambda place, r: write_some_points(place, r, 1)),
    "append, with coarse levels": (_with_pyramid, lambda place, r: write_some_points(place, r, 1, "a")),
    "edit: append": (write_some_points, _append_vertices),
    "edit: append, with coarse levels": (_with_pyramid, _append_vertices),
    "append to a partition": (write_some_points, _append_partition),
    "append to a partition, with coarse levels": (_with_pyramid, _append_partition),
    "edit: add attribute": (write_some_points, lambda p, r: edit.add_attribute(p, "score", np.arange(float(COUNT)))),
    "edit: set object attribute": (
        write_some_points,
        lambda p, r: edit.set_attribute(p, "weight", np.arange(5.0), kind="object"),
    ),
    "edit: remove attribute": (write_some_points, lambda p, r: edit.remove_attribute(p, "height")),
    "edit: delete objects": (write_some_points, lambda p, r: edit.delete_objects(p, [2])),
    "edit: replace objects": (
        write_some_points,
        lambda p, r: edit.replace_objects(p, [[3.0, 3.0, 3.0]], [2], attributes={"tag": [3], "height": [3.0]}),
    ),
    "edit: move vertices": (
        write_some_points,
        lambda p, r: edit.move_vertices(p, [[9.0, 9.0, 9.0], [1.0, 1.0, 1.0]], rows=[0, 30]),
    ),
    "edit: set groups": (write_some_points, lambda p, r: edit.set_groups(p, {"other": [4]})),
    "edit: vacuum": (_littered, lambda p, r: edit.vacuum(p)),
    "writer: two steps": (write_some_points, _writer),
    "pyramid": (write_some_points, lambda p, r: _pyramid(p)),
    "pyramid: overwrite": (
        _with_pyramid,
        lambda p, r: build_pyramid(p, [(2.0, 1.0), (4.0, 2.0)], sparsity_seed=2, overwrite=True),
    ),
    "pyramid: one level": (_with_pyramid, lambda p, r: coarsen_level(p, 0, 2, coarsen_factor=4.0)),
    "pyramid: remove a level": (_with_pyramid, lambda p, r: remove_resolution_level(open_store(p, mode="r+"), 1)),
    "bounds: grow": (write_some_points, lambda p, r: _with_bounds(p, GROWN)),
    "bounds: shrink": (_with_pyramid, lambda p, r: _with_bounds(p, SHRUNK, force=True)),
    "rechunk": (write_some_points, lambda p, r: rechunk(p, RechunkSpec("object_id", bins=[0, 2]), verify=False)),
    "rebin": (write_some_points, lambda p, r: rebin_store(p, 12.5, verify=False)),
    "parametric objects": (write_some_points, lambda p, r: write_parametric(p, {"sphere": [[0, 0, 0, 5]]})),
    "repair": (_damaged, lambda p, r: repair(p)),
    "consolidate": (write_some_points, lambda p, r: consolidate_metadata(p)),
    "consolidate: remove": (_consolidated, lambda p, r: consolidate_metadata(p, remove=True)),
}
"""What is done to points, by name: how the old store is made, and the change."""

KIND_CHANGES: dict[tuple[str, str], Run] = {
    ("graph", "edit: add links"): lambda p, r: edit.add_links(p, [[0, 9]], attributes={"mark": [1.0]}),
    ("graph", "edit: remove links"): lambda p, r: edit.remove_links(p, [0, 7]),
    ("graph", "pyramid"): lambda p, r: _pyramid(p),
    ("mesh", "pyramid"): lambda p, r: _pyramid(p),
    ("polylines", "pyramid"): lambda p, r: _pyramid(p),
    ("polylines", "append to partitions"): _append_path,
    ("polylines", "rechunk"): lambda p, r: rechunk(p, RechunkSpec("object_id", bins=[0, 2]), verify=False),
}
"""What is done to other kinds."""


def scenarios() -> Iterator[Scenario]:
    """Give all cases: every writer in modes ``"w"`` and ``"a"``, and every change, in all revisions."""
    for revision in REVISIONS:
        yield from _written(revision)
        yield from _migrated(revision)
        yield _refreshed(revision)
        for name, (prepare, run) in POINT_CHANGES.items():
            yield _scenario(name, "points", revision, prepare, run)
        for (kind, name), run in KIND_CHANGES.items():
            yield _scenario(name, kind, revision, _preparing(WRITERS[kind]), run)
    yield _scenario("shard", "points", DEFAULT_REVISION, _unsharded, lambda place, _: shard_store(place, 2))
    yield _scenario("append to a partition of shards", "points", DEFAULT_REVISION, _sharded, _append_partition)
    yield _scenario("unshard", "points", DEFAULT_REVISION, _sharded, lambda place, _: unshard_store(place))


def scenario_named(name: str) -> Scenario:
    """Give a case by its name."""
    for scenario in scenarios():
        if scenario.name == name:
            return scenario
    raise UnknownNameError(f"scenario: there is none called {name!r}; see zarr_vectors.testing.scenarios.scenarios()")


def other_revision(revision: str) -> str:
    """Give another revision than this one."""
    return next(name for name in REVISIONS if name != revision)


def _unsharded(place: Any, revision: str) -> None:
    write_some_points(place, revision)
    unshard_store(place)


def _sharded(place: Any, revision: str) -> None:
    write_some_points(place, revision)
    shard_store(place, 2)


def _written(revision: str) -> Iterator[Scenario]:
    for kind, write in WRITERS.items():
        old = _preparing(write)
        yield _scenario("write where nothing is", kind, revision, None, _writing(write, 0, "w"))
        yield _scenario("overwrite", kind, revision, old, _writing(write, 1, "w"))
        yield _scenario("append", kind, revision, old, _writing(write, 1, "a"))


def _migrated(revision: str) -> Iterator[Scenario]:
    def move(place: Any, source: str) -> None:
        migrate(source, place, format_version=revision, overwrite=True)

    for kind in ("points", "graph"):
        write = WRITERS[kind]

        def prepare(place: Any, write: Write = write) -> None:
            write(place, other_revision(revision), 0, "w")

        yield Scenario(f"migrate to nothing, {kind}, {revision}", kind, revision, None, move)
        yield Scenario(f"migrate over a store, {kind}, {revision}", kind, revision, prepare, move)


def _refreshed(revision: str) -> Scenario:
    return Scenario(
        f"edit: delete and refresh, points, {revision}",
        "points",
        revision,
        lambda place: _with_pyramid(place, revision),
        lambda place, _: edit.delete_objects(place, [2], refresh=True),
    )


def _preparing(write: Write) -> Callable[[Any, str], None]:
    return lambda place, revision: write(place, revision, 0, "w")


def _writing(write: Write, seed: int, mode: str) -> Run:
    return lambda place, revision: write(place, revision, seed, mode)


def _scenario(name: str, kind: str, revision: str, prepare: Callable[[Any, str], None] | None, run: Run) -> Scenario:
    def make(place: Any) -> None:
        assert prepare is not None
        prepare(place, revision)

    return Scenario(
        f"{name}, {kind}, {revision}",
        kind,
        revision,
        None if prepare is None else make,
        lambda place, source: run(place, revision),
        is_damaged=prepare is _damaged,
    )
