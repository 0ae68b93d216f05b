"""The public doors through which a damaged store is put."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from zarr_vectors.core.arrays import list_chunk_keys, read_chunk_attributes, read_chunk_vertices
from zarr_vectors.core.group import Group
from zarr_vectors.core.multiscale import (
    list_resolution_levels,
    read_level_metadata,
    read_multiscale_metadata,
    read_root_metadata,
)
from zarr_vectors.core.store import open_store
from zarr_vectors.exceptions import ZarrVectorsError
from zarr_vectors.lazy import open_zv
from zarr_vectors.repair import repair
from zarr_vectors.testing.fuzz.stores import Objects
from zarr_vectors.types.graphs import read_graph
from zarr_vectors.types.lines import read_lines
from zarr_vectors.types.meshes import read_mesh
from zarr_vectors.types.parametric import read_parametric
from zarr_vectors.types.points import read_points
from zarr_vectors.types.polylines import read_polylines
from zarr_vectors.validate import validate

READERS: dict[str, Callable[..., Any]] = {
    "points": read_points,
    "objects": read_points,
    "by attribute": read_points,
    "lines": read_lines,
    "polylines": read_polylines,
    "graph": read_graph,
    "skeleton": read_graph,
    "mesh": read_mesh,
    "draco": read_mesh,
    "parametric": read_parametric,
}
"""The reader of each kind."""

_BOX = ([5.0, 5.0, 5.0], [25.0, 15.0, 15.0])


def attempts(kind: str, path: Any) -> dict[str, Callable[[], Any]]:
    """Return what is tried on a store, by name; each must answer or raise a documented error."""
    read = READERS[kind]
    tried: dict[str, Callable[[], Any]] = {
        "read": lambda: read(path),
        "validate": lambda: validate(path),
        "open_zv": lambda: _explore(path),
        "group": lambda: _walk(path),
    }
    if kind != "parametric":
        tried["read box"] = lambda: read(path, bbox=_BOX)
        tried["read level 1"] = lambda: read(path, level=1)
    if kind not in ("points", "by attribute"):
        tried["read objects"] = lambda: read(path, object_ids=[0, 3])
    if kind in ("objects", "polylines", "parametric"):
        tried["read groups"] = lambda: read(path, group_ids=[0])
    return tried


def repairs(path: Any) -> dict[str, Callable[[], Any]]:
    """Return the repairs that are tried on a store, which change it."""
    return {
        "repair": lambda: repair(path),
        "repair, dropping": lambda: repair(path, drop_damaged=True),
        "validate after": lambda: validate(path),
    }


def _explore(path: Any) -> None:
    with open_zv(path) as dataset:
        _ = repr(dataset), dataset.summary(), dataset._repr_html_()
        for level in dataset:
            _ = repr(level), level.metadata, level.attribute_names, level.object_attribute_names
            for chunk in level.iter_chunks():
                len(chunk)
            level.count(_BOX)
            ids = level.objects.ids
            if len(ids):
                _ = level.objects[int(ids[0])]
            for group in list(level.groups)[:1]:
                _ = level.groups[group]
        _ = dataset.read()


def _walk(path: Any) -> None:
    root = open_store(path)
    each(partial(read_root_metadata, root), partial(read_multiscale_metadata, root), partial(_attributes, root, 0))
    for number in list_resolution_levels(root):
        each(partial(read_level_metadata, root, number), partial(_level, root, number))


def _level(root: Group, number: int) -> None:
    _chunks(root[str(number)])


def each(*actions: Callable[[], Any]) -> None:
    """Do one thing after another, whatever documented errors they end in."""
    for action in actions:
        try:
            action()
        except ZarrVectorsError:
            continue


def _attributes(group: Group, depth: int) -> None:
    _ = dict(group.attrs), repr(group)
    for name in group.children() if depth < 4 else ():
        each(partial(_child, group, name, depth), partial(group.read_array_meta, name))


def _child(group: Group, name: str, depth: int) -> None:
    if name in group:
        _attributes(group[name], depth + 1)


def _chunks(level: Group) -> None:
    for key in list_chunk_keys(level)[:3]:
        named = [partial(read_chunk_attributes, level, name, key) for name in ("height", "kind", "gene", "area")]
        each(partial(read_chunk_vertices, level, key), *named)


def undocumented(actions: dict[str, Callable[[], Any]]) -> list[tuple[str, Exception]]:
    """Try actions; return those that raised what is not documented, each with its error."""
    wrong: list[tuple[str, Exception]] = []
    for name, action in actions.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                action()
        except ZarrVectorsError:
            continue
        except Exception as error:
            wrong.append((name, error))
    return wrong


def try_all(kind: str, objects: dict[str, bytes], *, repairing: bool) -> list[tuple[str, Exception]]:
    """Put the objects of a store through every door; return what raised an error that is not documented."""
    place = Objects(dict(objects))
    wrong = undocumented(attempts(kind, place))
    if repairing:
        wrong += undocumented(repairs(place))
    return wrong
