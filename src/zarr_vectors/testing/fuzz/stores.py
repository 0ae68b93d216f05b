"""Small stores of every kind, in both revisions, plain, compressed and sharded, as objects by address."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

from zarr_vectors.core.store import consolidate_metadata
from zarr_vectors.formats.detection import REVISIONS
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage.port import get_whole
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.lines import write_lines
from zarr_vectors.types.meshes import write_mesh
from zarr_vectors.types.parametric import write_parametric
from zarr_vectors.types.points import write_points
from zarr_vectors.types.polylines import write_polylines
from zarr_vectors.typing import AnyArray

_BOX = ([0.0, 0.0, 0.0], [40.0, 20.0, 20.0])
_COMMON: dict[str, Any] = {"chunk_shape": 20.0, "bin_shape": 10.0, "bounds": _BOX}
STORED: dict[str, dict[str, Any]] = {
    "plain": {"compressor": None, "shard_shape": None},
    "zstd": {"compressor": "zstd", "shard_shape": None},
    "blosc": {"compressor": "blosc", "shard_shape": None},
    "shards": {"compressor": None, "shard_shape": 2},
}
"""How the arrays of a store are laid out, by name."""


@dataclass(slots=True)
class Objects:
    """A storage backend on a dictionary that may hold anything.

    Attributes
    ----------
    kept : dict
        Bytes by address.
    asked : set of str
        Every address that was read or written.
    """

    kept: dict[str, bytes]
    asked: set[str] = field(default_factory=set)
    url: str = field(default_factory=lambda: f"objects://{uuid.uuid4().hex}/store")

    def get(self, key: str) -> bytes | None:
        """Return the bytes at a key."""
        self.asked.add(key)
        return self.kept.get(key)

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes at a key."""
        self.asked.add(key)
        self.kept[key] = data

    def exists(self, key: str) -> bool:
        """Say whether something is at a key."""
        return key in self.kept

    def delete(self, key: str) -> None:
        """Delete what is at a key."""
        self.asked.add(key)
        self.kept.pop(key, None)

    def delete_prefix(self, prefix: str) -> None:
        """Delete every key below a prefix."""
        for key in list(self.list_prefix(prefix, recursive=True)):
            del self.kept[key]

    def ensure_prefix(self, prefix: str) -> None:
        """Do nothing: there are no containers."""

    def list_prefix(self, prefix: str, *, recursive: bool = False) -> Iterable[str]:
        """Return keys below a prefix, or its immediate children."""
        start = f"{prefix}/" if prefix else ""
        below = [key for key in sorted(self.kept) if key.startswith(start)]
        if recursive:
            return below
        rest = [key[len(start) :].partition("/") for key in below]
        return sorted({start + name + mark for name, mark, _ in rest})


def _cloud(count: int) -> AnyArray:
    return np.random.default_rng(count).uniform(0, 20, (count, 3)) * [2, 1, 1]


def _points(path: str, **options: Any) -> None:
    positions = _cloud(60)
    attributes = {"height": positions[:, 2], "kind": np.array(["a", "b", "c"])[np.arange(60) % 3]}
    write_points(path, positions, attributes=attributes, **_COMMON, **options)


def _objects(path: str, **options: Any) -> None:
    write_points(
        path,
        _cloud(40),
        object_ids=7 * (np.arange(40) % 5),
        object_attributes={"size": np.arange(5.0), "label": ["a", "bb", "c", "d", "e"]},
        groups={"first": [0, 7], "second": [14]},
        group_attributes={"weight": [1.5, 2.5]},
        **_COMMON,
        **options,
    )
    build_pyramid(path, factors=[(2.0, 1.0)], compressor=options["compressor"])


def _by_attribute(path: str, **options: Any) -> None:
    genes = np.array(["a", "b"])[np.arange(30) % 2]
    write_points(path, _cloud(30), attributes={"gene": genes}, chunk_by_attribute="gene", **_COMMON, **options)


def _lines(path: str, **options: Any) -> None:
    write_lines(path, _cloud(40).reshape(20, 2, 3), **_COMMON, **options)


def _polylines(path: str, **options: Any) -> None:
    paths = [np.sort(_cloud(6 + n), axis=0) for n in range(4)]
    write_polylines(
        path,
        [*paths, paths[0][1:4]],
        object_ids=[3, 5, 7, 9, 11],
        object_attributes={"rank": np.arange(5)},
        groups={"some": [3, 7]},
        share_fragments=True,
        **_COMMON,
        **options,
    )


def _graph(path: str, **options: Any) -> None:
    edges = np.stack([np.arange(29), np.arange(1, 30)], axis=1)
    write_graph(
        path,
        _cloud(30),
        edges,
        edge_attributes={"length": np.arange(29.0)},
        object_ids=np.arange(30) // 10,
        **_COMMON,
        **options,
    )
    build_pyramid(path, factors=[(2.0, 1.0)], cross_level_storage="explicit", compressor=options["compressor"])


def _skeleton(path: str, **options: Any) -> None:
    edges = np.stack([np.arange(1, 20), np.arange(19)], axis=1)
    write_graph(path, np.sort(_cloud(20), axis=0), edges, geometry_type="skeleton", **_COMMON, **options)


def _mesh(path: str, **options: Any) -> None:
    faces = np.stack([np.arange(22), np.arange(1, 23), np.arange(2, 24)], axis=1)
    areas: dict[str, Any] = {} if options.get("use_draco") else {"face_attributes": {"area": np.arange(22.0)}}
    write_mesh(path, _cloud(24), faces, **areas, **_COMMON, **options)


def _parametric(path: str, **options: Any) -> None:
    options = {name: value for name, value in options.items() if name != "shard_shape"}
    write_parametric(
        path,
        {"sphere": [[0, 0, 0, 5], [1, 1, 1, 2.0]], "plane": [[0, 0, 1, -3]]},
        names=["a", "b", "c"],
        object_attributes={"score": [1.0, 2.0, 3.0]},
        groups={"round": [0, 1]},
        **options,
    )


WRITERS: dict[str, Callable[..., None]] = {
    "points": _points,
    "objects": _objects,
    "by attribute": _by_attribute,
    "lines": _lines,
    "polylines": _polylines,
    "graph": _graph,
    "skeleton": _skeleton,
    "mesh": _mesh,
    "parametric": _parametric,
}
"""What writes a small store, by kind."""
if find_spec("DracoPy") is not None:
    WRITERS["draco"] = lambda path, **options: _mesh(path, use_draco=True, **options)


def small_store(kind: str, revision: str, stored: str = "plain", *, consolidated: bool = False) -> dict[str, bytes]:
    """Write a small store and return its objects by address.

    Parameters
    ----------
    kind : str
        A key of `WRITERS`.
    revision : str
        Revision of the format.
    stored : str
        A key of `STORED`.
    consolidated : bool
        With consolidated metadata.
    """
    path = f"memory://fuzz-{uuid.uuid4().hex}/store"
    WRITERS[kind](path, format_version=revision, **STORED[stored])
    if consolidated:
        consolidate_metadata(path)
    storage = resolve_storage(path, mode="w")
    addresses = storage.list_all()
    found = {
        a: bytes(blob) for a, blob in zip(addresses, get_whole(storage, addresses), strict=True) if blob is not None
    }
    storage.delete_prefix("")
    return found


def small_stores(kinds: Iterable[str] | None = None) -> dict[str, dict[str, bytes]]:
    """Return the objects of one small store of every kind, revision and layout that differ, by name."""
    layouts = ("plain", "zstd", "shards", "blosc")
    made = {}
    for number, kind in enumerate(kinds or WRITERS):
        for revision in REVISIONS:
            chosen = ["plain", layouts[1 + number % 3]] if kind != "parametric" else ["plain"]
            for stored in chosen:
                if stored == "shards" and revision == min(REVISIONS):
                    stored = "zstd"
                name = f"{kind} {revision} {stored}"
                made[name] = small_store(kind, revision, stored, consolidated=stored != "plain")
    return made
