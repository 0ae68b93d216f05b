"""What the documentation of the reference states of stores and groups, sentence by sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from zarr_vectors import create_store, open_store
from zarr_vectors.constants import VERTEX_FRAGMENTS, VERTICES
from zarr_vectors.core import multiscale
from zarr_vectors.core.arrays import list_chunk_keys, read_chunk_vertices
from zarr_vectors.core.group import Group
from zarr_vectors.core.store import (
    add_resolution_level,
    commit,
    create_resolution_level,
    discard_changes,
    get_parametric_group,
    get_resolution_level,
    list_available_ratios,
    list_resolution_levels,
    read_level_metadata,
    read_parametric_types,
    rebind,
    remove_resolution_level,
    session_for,
    set_bounds,
    write_parametric_types,
)
from zarr_vectors.exceptions import ArgumentError, MetadataError, ReadOnlyStoreError, StoreError
from zarr_vectors.model.metadata import LevelMetadata
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.parametric import ParametricTypeDef
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

POINTS = np.random.default_rng(0).uniform(0, 100, (200, 3)).astype(np.float32)
SHELLS: list[tuple[dict[str, Any], str, Any]] = [
    ({}, "bounds", ((0.0,) * 3, (128.0,) * 3)),
    ({"ndim": 2}, "bounds", ((0.0,) * 2, (128.0,) * 2)),
    ({"axes": ["y", "x"]}, "bounds", ((0.0,) * 2, (128.0,) * 2)),
    ({"chunk_shape": (4, 4, 4, 4)}, "bounds", ((0.0,) * 4, (128.0,) * 4)),
    ({"bounds": ([1, 2], [5, 12])}, "chunk_shape", (4.0, 10.0)),
    ({"reduction_factor": 3}, "reduction_factor", 3),
    ({"cross_level_depth": 2}, "cross_level_depth", 2),
    ({"cross_level_storage": "none"}, "cross_level_storage", "none"),
    ({}, "geometry_types", ()),
    ({"geometry_types": ["mesh"]}, "geometry_types", ("mesh",)),
    ({}, "links_convention", None),
    ({"format_capabilities": ["shared_fragments"]}, "format_capabilities", ("shared_fragments",)),
    ({"crs": {"name": "RAS"}}, "crs", {"name": "RAS"}),
]


@pytest.mark.parametrize(("given", "name", "stated"), SHELLS)
def test_a_shell_states(tmp_path: Path, given: dict[str, Any], name: str, stated: Any) -> None:
    assert getattr(create_store(tmp_path / "a.zv", **given).reader.root, name) == stated


@pytest.fixture(params=["0.9", "0.7"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Group:
    """A store of points with two coarse levels, open for writing."""
    write_points(tmp_path / "a.zv", POINTS, chunk_shape=50, bin_shape=12.5, format_version=request.param)
    build_pyramid(tmp_path / "a.zv", [(2.0, 1.0), (4.0, 1.0)])
    return open_store(tmp_path / "a.zv", "r+")


def test_shells(tmp_path: Path) -> None:
    shell = create_store(tmp_path / "a.zv")
    assert shell.children() == ["0"]
    assert shell["0"].children() == [VERTEX_FRAGMENTS, VERTICES]
    assert "parametric" not in shell
    get_parametric_group(shell)
    assert "parametric" in shell
    with pytest.raises(StoreError):
        create_store(tmp_path / "a.zv")
    with pytest.raises(MetadataError):
        create_store(tmp_path / "b.zv", ndim=2, chunk_shape=(1, 1, 1))
    with pytest.raises(StoreError):
        open_store(tmp_path / "b.zv")


def test_levels(root: Group) -> None:
    assert list_resolution_levels(root) == [0, 1, 2]
    assert list_available_ratios(root) == [(1, 1, 1), (2, 2, 2), (4, 4, 4)]
    assert get_resolution_level(root, 1).path == "1"
    metadata = read_level_metadata(root, 1)
    assert (metadata.bin_ratio, metadata.bin_shape) == ((2, 2, 2), (25, 25, 25))
    with pytest.raises(StoreError):
        remove_resolution_level(root, 0)
    remove_resolution_level(root, 2)
    add_resolution_level(root, 2, (4, 4, 4))
    create_resolution_level(root, 3, LevelMetadata(level=3, bin_ratio=(8.0,) * 3, bin_shape=(100.0,) * 3))
    assert list_resolution_levels(root) == [0, 1, 2, 3]
    assert multiscale.read_level_transform(root, 3) == ([8.0] * 3, [50.0] * 3)
    assert multiscale.read_level_transform(root, 9) == (None, None)


def test_multiscale_metadata(root: Group) -> None:
    multiscale.write_multiscale_metadata(root)
    assert multiscale.get_level_scale(root, level=1) == [2.0] * 3
    assert multiscale.get_level_translation(root, level=1) == [12.5] * 3
    (block,) = multiscale.read_multiscale_metadata(root)
    assert block["type"] == "zarr_vectors_multiscale"
    assert block["metadata"]["format"] == "zarr_vectors"
    for number, entry in enumerate(block["datasets"]):
        scale, translation = entry["coordinateTransformations"]
        assert (entry["path"], entry["level"], entry["object_sparsity"]) == (str(number), number, 1.0)
        assert scale == {"type": "scale", "scale": entry["bin_ratio"]}
        assert translation["translation"] == [edge / 2 for edge in entry["bin_shape"]]
    assert validate(root, level=2).is_valid


def test_groups(root: Group) -> None:
    level = root["0"]
    level.write_array("object_attributes/x", np.arange(5.0), chunks=(2,), fill_value=np.nan, attributes={"unit": "m"})
    assert level.read_array_attrs("object_attributes/x") == {"unit": "m"}
    assert np.isnan(level.read_array_fill_value("object_attributes/x"))
    assert level.standalone_array_exists("object_attributes/x")
    assert not level.standalone_array_exists("object_attributes")
    assert level.read_array_attrs("object_attributes") == level.read_array_attrs("nothing") == {}
    assert "object_attributes" in list(level)
    assert level["object_attributes"].children() == ["x"]
    assert list(level["object_attributes"]) == []
    with pytest.raises(StoreError):
        level.read_array_fill_value("object_attributes")
    level.write_vlen_array("blobs", [b"a", b"bcd"], chunks=1)
    array = level.zarr_group["blobs"]
    assert isinstance(array, zarr.Array)
    assert list(array[:]) == [b"a", b"bcd"]
    with level.batched_writes(), pytest.raises(StoreError), level.batched_writes():
        pass
    keys = list_chunk_keys(level)
    with level.batched_reads([(VERTICES, keys[:2]), (VERTEX_FRAGMENTS, keys[:2])]):
        assert sum(len(rows) for key in keys for rows in read_chunk_vertices(level, key)) == len(POINTS)
        with pytest.raises(StoreError), level.batched_reads([]):
            pass


def test_stores_without_versions(root: Group) -> None:
    for message in ("done", "", " "):
        assert commit(root, message) is None
    assert session_for(root) is None
    discard_changes(root)
    assert rebind(root, "local") is root
    write_parametric_types(root, [ParametricTypeDef(5, "cone", ["a", "b"])])
    assert read_parametric_types(root)[-1].name == "cone"


def test_modes_and_bounds(root: Group) -> None:
    url = root.backend.url
    reading = open_store(url)
    forbidden: list[Callable[[], Any]] = [
        lambda: reading.create_group("x"),
        lambda: reading.attrs.update(a=1),
        lambda: set_bounds(reading, ([0] * 3, [200] * 3)),
        lambda: reading["0"].write_array("x", [1]),
    ]
    for write in forbidden:
        with pytest.raises(ReadOnlyStoreError):
            write()
    assert not open_store(url, "a").read_only
    set_bounds(root, ([-10] * 3, [200] * 3))
    with pytest.raises(ArgumentError, match="force=True"):
        set_bounds(root, ([0] * 3, [50] * 3))
    set_bounds(root, ([-10] * 3, [50] * 3), force=True)
    assert len(read_points(url)) == int((POINTS <= 50).all(axis=1).sum())
    document = json.loads((Path(url) / "zarr.json").read_text())["attributes"]
    assert document["zarr_vectors"]["bounds"] == [[-10.0] * 3, [50.0] * 3]
