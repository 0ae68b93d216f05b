"""Migration both ways, lossless, verified, and safe."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from zarr_vectors.exceptions import ArgumentError, StoreError, StoreExistsError, StoreNotFoundError
from zarr_vectors.migration import migrate
from zarr_vectors.model.cells import Cells, Fragments
from zarr_vectors.model.links import LinkTable
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.read.compare import differences, read_level
from zarr_vectors.read.fetch import decode_payloads, fetch_cells
from zarr_vectors.read.opening import open_reader
from zarr_vectors.spatial.linking import with_link_fragments
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.meshes import write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

OTHER = {"0.9": "0.7", "0.7": "0.9"}


def write_rich(path, version, **more):
    rng = np.random.default_rng(0)
    n = 1500
    positions = rng.uniform(-40, 60, (n, 3))
    write_points(
        path,
        positions,
        chunk_shape=50.0,
        bin_shape=12.5,
        dtype=np.float64,
        attributes={
            "x": positions[:, 0].copy(),
            "rgb": rng.integers(0, 255, (n, 3)).astype(np.uint8),
            "label": np.array(["a", "bb", "ccc"])[rng.integers(0, 3, n)],
            "seen": rng.random(n) < 0.5,
            "when": np.datetime64("2025-01-01", "ms") + np.arange(n),
        },
        attribute_specs={"rgb": {"channel_names": ("r", "g", "b")}, "x": {"unit": "micrometer", "description": "east"}},
        axis_units="micrometer",
        coordinate_system="RAS",
        metadata={"subject": 7},
        format_version=version,
        **more,
    )
    return positions


@pytest.mark.parametrize("version", ["0.9", "0.7"])
@pytest.mark.parametrize("with_objects", [False, True])
def test_there_and_back_is_the_same(tmp_path, version, with_objects):
    more = {}
    if with_objects:
        more = {
            "object_ids": (np.arange(1500) % 11) * 5 + 2,
            "object_attributes": {"size": np.arange(11.0), "name": [f"cell {i}" for i in range(11)]},
            "groups": {"early": [2, 7], "late": [52]},
            "group_attributes": {"score": [0.5, 1.5]},
        }
    write_rich(tmp_path / "a", version, **more)
    build_pyramid(tmp_path / "a", [(2.0, 1.0), (4.0, 1.0)], cross_level_storage="explicit")
    there = migrate(tmp_path / "a", tmp_path / "b", format_version=OTHER[version])
    assert (there.source_version, there.target_version, there.levels) == (version, OTHER[version], (0, 1, 2))
    assert there.verified
    migrate(tmp_path / "b", tmp_path / "c", format_version=version)
    one, other = open_reader(tmp_path / "a"), open_reader(tmp_path / "c")
    assert one.revision.name == other.revision.name == version
    for level in range(3):
        before, after = read_level(one, level), read_level(other, level)
        assert differences(before, after) == {}
        for table, again in zip(before.links, after.links, strict=True):
            assert (table.delta, table.directed) == (again.delta, again.directed)
        first, last = read_points(tmp_path / "a", level=level), read_points(tmp_path / "c", level=level)
        np.testing.assert_array_equal(first.positions, last.positions)
        assert first.channel_names == last.channel_names
        for name, values in first.attributes.items():
            np.testing.assert_array_equal(values, last.attributes[name])
    assert one.root.axes == other.root.axes
    assert one.root.crs == other.root.crs == {"name": "RAS"}
    assert one.root.levels == other.root.levels
    assert one.attributes["user_metadata"] == other.attributes["user_metadata"] == {"subject": 7}
    assert one.root.attribute_specs == other.root.attribute_specs
    np.testing.assert_array_equal(
        read_cross_level_links(tmp_path / "a", 0, 1), read_cross_level_links(tmp_path / "b", 0, 1)
    )


def test_boxes_are_the_same_in_both_revisions(tmp_path):
    write_rich(tmp_path / "a", "0.9")
    migrate(tmp_path / "a", tmp_path / "b", format_version="0.7")
    box = ([-10.0, 0.0, 5.0], [30.0, 44.4, 50.0])
    first, last = read_points(tmp_path / "a", bbox=box), read_points(tmp_path / "b", bbox=box)
    assert first.vertex_count > 50
    np.testing.assert_array_equal(first.positions, last.positions)


@pytest.mark.parametrize("name", ["points", "points_obj", "points2d", "points_pyr"])
def test_old_stores_become_new_ones(stores_07, tmp_path, name):
    summary = migrate(stores_07 / f"{name}.zv", tmp_path / "new")
    assert (summary.source_version, summary.target_version) == ("0.7", "0.9")
    old, new = read_points(stores_07 / f"{name}.zv"), read_points(tmp_path / "new")
    np.testing.assert_array_equal(old.positions, new.positions)
    for attribute, values in old.attributes.items():
        np.testing.assert_array_equal(values, new.attributes[attribute])


def test_a_store_can_be_migrated_in_place(tmp_path):
    positions = write_rich(tmp_path / "a", "0.9")
    with pytest.raises(StoreExistsError, match="overwrite"):
        migrate(tmp_path / "a", tmp_path / "a", format_version="0.7")
    migrate(tmp_path / "a", tmp_path / "a", format_version="0.7", overwrite=True)
    assert open_reader(tmp_path / "a").revision.name == "0.7"
    assert read_points(tmp_path / "a").vertex_count == len(positions)


def test_a_target_that_reads_back_otherwise_is_not_put_in_place(tmp_path, monkeypatch):
    write_rich(tmp_path / "a", "0.9")
    monkeypatch.setattr("zarr_vectors.migration.differences", lambda before, after: {"vertices": "3 of 4 rows differ"})
    with pytest.raises(StoreError, match="level 0 does not read back"):
        migrate(tmp_path / "a", tmp_path / "b", format_version="0.7")
    assert not (tmp_path / "b").exists()


def test_differences_are_named(tmp_path):
    write_rich(tmp_path / "a", "0.9", object_ids=np.arange(1500) % 4)
    cells = read_level(open_reader(tmp_path / "a"), 0)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    other = read_level(open_reader(tmp_path / "b"), 0)
    assert differences(cells, other) == {}
    other.positions[0] += 1
    other.attributes["rgb"].values[3] += 1
    assert cells.objects is not None
    assert other.objects is not None
    other.objects.ids[0] = 99
    one = "1 of 1500 rows differ"
    assert differences(cells, other) == {
        "vertices": one,
        "vertex_attributes/rgb": one,
        "object_index": "1 of 4 rows differ",
    }


def test_bad_arguments(tmp_path):
    write_rich(tmp_path / "a", "0.9")
    with pytest.raises(ArgumentError, match="format_version"):
        migrate(tmp_path / "a", tmp_path / "b", format_version="0.8")
    with pytest.raises(ArgumentError, match="no shards"):
        migrate(tmp_path / "a", tmp_path / "b", format_version="0.7", shard_shape=(2, 2, 2))
    with pytest.raises(StoreNotFoundError):
        migrate(tmp_path / "nothing", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    with pytest.raises(StoreError, match="not a Zarr Vectors store"):
        migrate(tmp_path / "a", tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "words"


def test_progress_counts_levels(tmp_path):
    write_rich(tmp_path / "a", "0.9")
    steps: list[tuple[int, int]] = []
    migrate(
        tmp_path / "a", tmp_path / "b", format_version="0.7", progress=lambda done, total: steps.append((done, total))
    )
    assert steps == [(1, 2), (2, 2)]


def write_linked(path, kind, version):
    rng = np.random.default_rng(3)
    steps = rng.normal(0, 4, (6, 40, 3)).cumsum(axis=1) + rng.uniform(20, 80, (6, 1, 3))
    positions = np.clip(steps.reshape(-1, 3), 0, 99.9)
    owners = np.repeat(np.arange(6) * 4 + 1, 40)
    space = {"chunk_shape": 25.0, "bounds": ([0] * 3, [100] * 3), "format_version": version, "object_ids": owners}
    first = np.flatnonzero(np.arange(240) % 40 < 38)
    if kind == "mesh":
        faces = np.stack([first, first + 1, first + 2], axis=1)
        write_mesh(path, positions, faces, face_attributes={"area": np.arange(len(faces))}, **space)
    else:
        edges = np.stack([first, first + 1] if kind == "graph" else [first + 1, first // 40 * 40], axis=1)
        write_graph(path, positions, edges, geometry_type=kind, edge_attributes={"w": np.arange(len(edges))}, **space)


@pytest.mark.parametrize("version", ["0.9", "0.7"])
@pytest.mark.parametrize("kind", ["mesh", "graph", "skeleton"])
def test_links_can_still_be_sliced_by_fragment(tmp_path, kind, version):
    """The fragments of links are those of a store that was written in the other revision at once."""
    write_linked(tmp_path / "a", kind, version)
    write_linked(tmp_path / "b", kind, OTHER[version])
    migrate(tmp_path / "a", tmp_path / "c", format_version=OTHER[version])
    found = []
    for name in "bc":
        level = open_reader(tmp_path / name).level(0)
        cells = fetch_cells(level.storage, [level.arrays.link_fragments], level.chunks)[0]
        found.append([bytes(payload) for payload in decode_payloads([cells])])
    assert any(found[0])
    assert found[0] == found[1]
    assert validate(tmp_path / "c", level=5).is_valid


def test_links_in_another_order_stay_as_they_are():
    order = np.array([[1, 2], [0, 1]])
    fragments = Fragments(np.array([0, 2]), np.array([0, 1]), np.array([1, 2]))
    here = np.zeros((1, 3), np.int64)
    cells = Cells(here, np.array([0, 3]), np.zeros((3, 3), np.float32), fragments)
    table = LinkTable(0, np.zeros((2, 2), np.int64), order, here, here)
    assert with_link_fragments(replace(cells, links=(table,))).link_fragments is None
    described = with_link_fragments(replace(cells, links=(replace(table, rows=order[::-1]),))).link_fragments
    assert described.counts.tolist() == [1, 1]
