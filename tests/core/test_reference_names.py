"""Every documented name is there with its documented parameters, and the documented examples run."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors
from tests.core.every_kind import write_kind
from zarr_vectors.constants import VERTEX_ATTRIBUTES, VERTEX_FRAGMENTS, VERTICES
from zarr_vectors.core import arrays, multiscale, store
from zarr_vectors.core.arrays import (
    create_attribute_array,
    create_vertices_array,
    list_chunk_keys,
    read_chunk_vertices,
    write_chunk_attributes,
    write_chunk_vertices,
)
from zarr_vectors.exceptions import ReadOnlyStoreError
from zarr_vectors.lazy import open_zv
from zarr_vectors.model.metadata import LevelMetadata
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.points import read_points
from zarr_vectors.validate import validate

REQUIRED = inspect.Parameter.empty

CREATE = {
    "path": REQUIRED,
    "*bounds": None,
    "*chunk_shape": None,
    "*axes": None,
    "*geometry_types": None,
    "*crs": None,
    "*ndim": None,
    "*vertex_dtype": "float32",
    "*vertex_encoding": "raw",
    "*links_convention": None,
    "*object_index_convention": None,
    "*cross_chunk_strategy": None,
    "*cross_level_depth": None,
    "*cross_level_storage": None,
    "*reduction_factor": None,
    "*base_bin_shape": None,
    "*format_capabilities": None,
    "*backend": None,
    "**": None,
}
OPEN = {"path": REQUIRED, "mode": "r", "*backend": None, "**": None}
REBIND = {"group": REQUIRED, "backend": REQUIRED, "**": None}
FS_GROUP = {"path": REQUIRED, "*create": False}
SPEC = {
    "by": REQUIRED,
    "bins": None,
    "spatial_chunk_shape": None,
    "prefix_dim_name": None,
    "categorical": False,
}
VALUES = {"name": REQUIRED, "values": REQUIRED, "*dtype": None}
LEVEL = {"root": REQUIRED, "level": REQUIRED}

DOCUMENTED: dict[str, dict[str, Any]] = {
    "zarr_vectors.FsGroup": FS_GROUP,
    "zarr_vectors.Group": {"zarr_group": REQUIRED},
    "zarr_vectors.Group.batched_reads": {"plan": REQUIRED},
    "zarr_vectors.Group.batched_writes": {"compressor": None},
    "zarr_vectors.Group.children": {},
    "zarr_vectors.Group.create_sharded_chunk_array": {
        "array_name": REQUIRED,
        "grid_shape": REQUIRED,
        "*shard_shape": None,
        "*attributes": None,
    },
    "zarr_vectors.Group.native_sharded_arrays": {"shard_shape": REQUIRED, "grid_shape": REQUIRED},
    "zarr_vectors.Group.read_array_attrs": {"path": REQUIRED},
    "zarr_vectors.Group.read_array_fill_value": {"path": REQUIRED},
    "zarr_vectors.Group.standalone_array_exists": {"path": REQUIRED},
    "zarr_vectors.Group.write_array": {
        "path": REQUIRED,
        "data": REQUIRED,
        "*chunks": None,
        "*fill_value": None,
        "*attributes": None,
        "*compressors": None,
    },
    "zarr_vectors.Group.write_vlen_array": {
        "path": REQUIRED,
        "blobs": REQUIRED,
        "*chunks": None,
        "*attributes": None,
    },
    "zarr_vectors.Group.create_group": {"name": REQUIRED},
    "zarr_vectors.Group.read_bytes": {"array_name": REQUIRED, "chunk_key": REQUIRED},
    "zarr_vectors.Group.write_bytes": {"array_name": REQUIRED, "chunk_key": REQUIRED, "data": REQUIRED},
    "zarr_vectors.Group.write_array_meta": {"array_name": REQUIRED, "meta": REQUIRED},
    "zarr_vectors.Group.array_exists": {"array_name": REQUIRED},
    "zarr_vectors.RechunkSpec": SPEC,
    "zarr_vectors.StorageBackend.delete_prefix": {"prefix": REQUIRED},
    "zarr_vectors.StorageBackend.ensure_prefix": {"prefix": REQUIRED},
    "zarr_vectors.StorageBackend.list_prefix": {"prefix": REQUIRED, "*recursive": False},
    "zarr_vectors.ZVWriter": {"level": REQUIRED},
    "zarr_vectors.ZVWriter.add_attribute": VALUES,
    "zarr_vectors.ZVWriter.add_attribute_sync": VALUES,
    "zarr_vectors.ZVWriter.add_face_attribute": VALUES,
    "zarr_vectors.ZVWriter.add_node_attribute": VALUES,
    "zarr_vectors.ZVWriter.add_object_attribute": VALUES,
    "zarr_vectors.ZVWriter.append_vertices": {"positions": REQUIRED, "*object_ids": None, "*dtype": None},
    "zarr_vectors.ZVWriter.commit": {},
    "zarr_vectors.create_store": CREATE,
    "zarr_vectors.detect_scheme": {"url": REQUIRED},
    "zarr_vectors.open_store": OPEN,
    "zarr_vectors.rebind": REBIND,
    "zarr_vectors.rechunk": {"store_path": REQUIRED, "spec": REQUIRED, "output": None},
    "zarr_vectors.rechunk_by_attribute": {
        "store_path": REQUIRED,
        "attribute_name": REQUIRED,
        "*output": None,
        "*spatial_chunk_shape": None,
    },
    "zarr_vectors.core.store.FsGroup": FS_GROUP,
    "zarr_vectors.core.store.add_resolution_level": {
        "root": REQUIRED,
        "level_index": REQUIRED,
        "bin_ratio": REQUIRED,
        "*object_sparsity": 1.0,
        "*coarsening_method": "manual",
        "*parent_level": None,
    },
    "zarr_vectors.core.store.branch": {"group": REQUIRED, "name": REQUIRED, "*from_snapshot_id": None},
    "zarr_vectors.core.store.commit": {"group": REQUIRED, "message": "zarr-vectors write"},
    "zarr_vectors.core.store.create_resolution_level": {**LEVEL, "level_metadata": REQUIRED},
    "zarr_vectors.core.store.create_store": CREATE,
    "zarr_vectors.core.store.discard_changes": {"group": REQUIRED},
    "zarr_vectors.core.store.get_parametric_group": {"root": REQUIRED},
    "zarr_vectors.core.store.get_resolution_level": LEVEL,
    "zarr_vectors.core.store.list_available_ratios": {"root": REQUIRED},
    "zarr_vectors.core.store.list_resolution_levels": {"root": REQUIRED},
    "zarr_vectors.core.store.merge_branch": {"group": REQUIRED, "name": REQUIRED, "*message": "merge branch"},
    "zarr_vectors.core.store.open_store": OPEN,
    "zarr_vectors.core.store.read_level_metadata": LEVEL,
    "zarr_vectors.core.store.read_parametric_types": {"root": REQUIRED},
    "zarr_vectors.core.store.read_root_metadata": {"root": REQUIRED},
    "zarr_vectors.core.store.rebase": {"group": REQUIRED, "base": "main"},
    "zarr_vectors.core.store.rebind": REBIND,
    "zarr_vectors.core.store.remove_resolution_level": {"root": REQUIRED, "level_index": REQUIRED},
    "zarr_vectors.core.store.session_for": {"group": REQUIRED},
    "zarr_vectors.core.store.set_bounds": {"root": REQUIRED, "new_bounds": REQUIRED, "*force": False},
    "zarr_vectors.core.store.switch_branch": {"group": REQUIRED, "name": REQUIRED},
    "zarr_vectors.core.store.write_parametric_types": {"root": REQUIRED, "types": REQUIRED},
    "zarr_vectors.core.multiscale.get_level_scale": LEVEL,
    "zarr_vectors.core.multiscale.get_level_translation": LEVEL,
    "zarr_vectors.core.multiscale.read_level_transform": LEVEL,
    "zarr_vectors.core.multiscale.read_multiscale_metadata": {"root": REQUIRED},
    "zarr_vectors.core.multiscale.upsert_level_transform": {**LEVEL, "*scale": REQUIRED, "*translation": None},
    "zarr_vectors.validate.validate": {"path": REQUIRED, "level": 5},
    "zarr_vectors.spatial.chunking.compute_grid_shape": {},
    "zarr_vectors.encoding.compression.resolve_compressor": {},
}
"""Parameters with their defaults; ``*`` stands before those given by name, ``**`` for any others."""

CONSTANTS = [
    *("VERTICES", "VERTEX_FRAGMENTS", "VERTEX_ATTRIBUTES", "LINKS", "OBJECT_INDEX", "OBJECT_ATTRIBUTES"),
    *("VALID_XLEVEL_STORAGE", "DEFAULT_AXES_NAMES"),
    *("CAP_FRAGMENT_INDEX", "CAP_SHARED_FRAGMENTS", "CAP_PRESERVED_OBJECT_IDS", "CAP_MULTISCALE_LINKS"),
]


def find(name: str) -> Any:
    """Return what a dotted name stands for."""
    parts = name.split(".")
    for depth in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:depth]))
        except ModuleNotFoundError:
            continue
        for part in parts[depth:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


@pytest.mark.parametrize("name", list(DOCUMENTED))
def test_documented_parameters(name: str) -> None:
    documented, signature = DOCUMENTED[name], inspect.signature(find(name))
    present = {key: parameter for key, parameter in signature.parameters.items() if key != "self"}
    positional = [key for key, p in present.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional[: len([k for k in documented if not k.startswith("*")])] == [
        key for key in documented if not key.startswith("*")
    ]
    for key, default in documented.items():
        if key == "**":
            assert any(p.kind is p.VAR_KEYWORD for p in present.values())
            continue
        parameter = present[key.removeprefix("*")]
        assert parameter.default == default
        assert parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    if documented:  # what is not documented may be left out
        more = [p for key, p in present.items() if key not in documented and f"*{key}" not in documented]
        assert all(p.default is not REQUIRED or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in more)


def test_documented_names_that_are_no_functions() -> None:
    for name in CONSTANTS:
        assert getattr(zarr_vectors, name) == getattr(zarr_vectors.constants, name)
    for name in ("attrs", "backend", "zarr_group"):
        assert isinstance(inspect.getattr_static(zarr_vectors.Group, name), property)
    for name in ("url", "get", "put", "exists", "delete"):
        assert hasattr(zarr_vectors.StorageBackend, name)
    for name in ("RootMetadata", "LevelMetadata", "NgffAxis"):
        assert inspect.isclass(getattr(zarr_vectors, name))
    assert issubclass(zarr_vectors.FsGroup, zarr_vectors.Group)
    assert store.FsGroup is zarr_vectors.FsGroup
    assert zarr_vectors.detect_scheme("S3://bucket/a") == "s3"
    assert zarr_vectors.detect_scheme("C:\\data") == zarr_vectors.detect_scheme("/data") == ""
    assert inspect.iscoroutinefunction(zarr_vectors.ZVWriter.add_attribute)
    assert inspect.iscoroutinefunction(zarr_vectors.ZVWriter.commit)


def test_the_package_validates(tmp_path: Path) -> None:
    write_kind("points", tmp_path / "a.zv")
    assert zarr_vectors.validate(tmp_path / "a.zv", level=2).is_valid  # type: ignore[operator]
    assert zarr_vectors.validate.validate is validate


def test_the_example_of_batched_reads(tmp_path: Path) -> None:
    write_kind("points", tmp_path / "a.zv", shard_shape=None)
    counted = CountingStorage(LocalStorage(tmp_path / "a.zv"))
    level_group = zarr_vectors.open_store(counted)["0"]
    attrs = ["n"]
    chunk_keys = list_chunk_keys(level_group, VERTICES)
    counted.reset()
    with level_group.batched_reads(
        [
            (VERTICES, chunk_keys),
            (VERTEX_FRAGMENTS, chunk_keys),
            *((f"{VERTEX_ATTRIBUTES}/{a}", chunk_keys) for a in attrs),
        ]
    ):
        assert counted.rounds == 2  # metadata of the arrays, then every chunk
        found = [fragment for cc in chunk_keys for fragment in read_chunk_vertices(level_group, cc)]
        assert counted.rounds == 2
    assert len(np.concatenate(found)) == 300


def test_the_example_of_batched_writes(tmp_path: Path) -> None:
    level_group = zarr_vectors.create_store(tmp_path / "a.zv", chunk_shape=(64, 64, 64))["0"]
    chunk_coords = [(0, 0, 0), (0, 1, 0), (1, 0, 1)]
    with level_group.batched_writes():
        create_vertices_array(level_group, dtype="float32")
        create_attribute_array(level_group, "intensity")
        for cc in chunk_coords:
            write_chunk_vertices(level_group, cc, [np.array([cc]) * 64.0])
            write_chunk_attributes(level_group, "intensity", cc, [np.ones(1)])
    arrays.record_vertex_count(level_group)
    assert len(read_points(tmp_path / "a.zv").positions) == 3
    assert validate(tmp_path / "a.zv").is_valid


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_the_example_of_the_writer(tmp_path: Path, revision: str) -> None:
    write_kind("points", tmp_path / "a.zv", format_version=revision)
    with open_zv(tmp_path / "a.zv", mode="r+") as zv, zv[0].writer() as writer:
        writer.add_attribute_sync("normal", np.ones((300, 3), np.float32))
    assert read_points(tmp_path / "a.zv").attributes["normal"].shape == (300, 3)


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_stores_opened_for_reading_refuse_every_change(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "a.zv"
    write_kind("points", path, levels=1, cross=None, format_version=revision)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    root = zarr_vectors.open_store(path)
    level = root["0"]
    changes = {
        "attrs": lambda: root.attrs.update(a=1),
        "del attrs": lambda: root.attrs.__delitem__("zarr_vectors"),
        "create_group": lambda: root.create_group("a"),
        "write_array": lambda: root.write_array("a", np.zeros(2)),
        "write_vlen_array": lambda: root.write_vlen_array("a", [b"1"]),
        "write_bytes": lambda: level.write_bytes(VERTICES, "0.0.0", b""),
        "write_array_meta": lambda: level.write_array_meta(VERTICES, {}),
        "batched_writes": lambda: level.batched_writes().__enter__(),
        "create_sharded_chunk_array": lambda: level.create_sharded_chunk_array("a", (1, 1, 1)),
        "create_vertices_array": lambda: create_vertices_array(level),
        "create_attribute_array": lambda: create_attribute_array(level, "a"),
        "write_chunk_vertices": lambda: write_chunk_vertices(level, (0, 0, 0), [np.zeros((1, 3))]),
        "add_resolution_level": lambda: store.add_resolution_level(root, 2, (2, 2, 2)),
        "create_resolution_level": lambda: store.create_resolution_level(root, 2, LevelMetadata(2)),
        "remove_resolution_level": lambda: store.remove_resolution_level(root, 1),
        "write_parametric_types": lambda: store.write_parametric_types(root, []),
        "set_bounds": lambda: store.set_bounds(root, ([-100] * 3, [100] * 3)),
        "shard_store": lambda: store.shard_store(root) if revision == "0.9" else store.unshard_store(root),
        "upsert_level_transform": lambda: multiscale.upsert_level_transform(root, 1, scale=[2, 2, 2]),
        "write_multiscale_metadata": lambda: multiscale.write_multiscale_metadata(root),
    }
    for name, change in changes.items():
        try:
            change()
        except ReadOnlyStoreError:
            continue
        pytest.fail(f"{name} did not refuse")
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    with zarr_vectors.open_store(path, "r+")["0"].batched_reads([]):
        pass


def test_ratios_and_transforms(tmp_path: Path) -> None:
    write_kind("points", tmp_path / "a.zv", levels=2)
    root = zarr_vectors.open_store(tmp_path / "a.zv", "r+")
    assert store.list_available_ratios(root) == [(1, 1, 1), (2, 2, 2), (4, 4, 4)]
    scale, translation = multiscale.read_level_transform(root, 1)
    assert scale == [2, 2, 2]
    assert translation == [17.5] * 3
    assert multiscale.read_level_transform(root, 7) == (None, None)
    multiscale.upsert_level_transform(root, 1, scale=[2, 2, 4], translation=[0, 0, 0])
    assert multiscale.read_level_transform(root, 1)[0] == [2, 2, 4]
