"""Levels that are built again: nothing of the old ones stays behind."""

from __future__ import annotations

import json

import numpy as np
import pytest

from zarr_vectors.core.store import create_store
from zarr_vectors.exceptions import ArgumentError, UnknownNameError
from zarr_vectors.multiresolution.coarsen import build_pyramid, coarsen_level
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

REVISIONS = ("0.9", "0.7")
FAMILIES = ("links", "cross_chunk_links", "link_attributes", "cross_chunk_link_attributes")


def write_cloud(path, version, **more):
    positions = np.random.default_rng(0).uniform(-50, 150, (800, 3)).astype(np.float32)
    write_points(path, positions, chunk_shape=50.0, bin_shape=12.5, format_version=version, **more)


def write_network(path, version):
    rng = np.random.default_rng(1)
    positions, edges = rng.uniform(0, 100, (300, 3)), rng.integers(0, 300, (500, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    weight = rng.normal(size=len(edges))
    write_graph(
        path, positions, edges, chunk_shape=50.0, bin_shape=12.5, edge_attributes={"w": weight}, format_version=version
    )


def block_of(path, level):
    return json.loads((path / str(level) / "zarr.json").read_text())["attributes"]["zarr_vectors_level"]


def root_of(path):
    return json.loads((path / "zarr.json").read_text())["attributes"]


def check(path):
    """Nothing is wrong, and every level lists just what it has."""
    report = validate(path, level=5)
    assert report.is_valid, report
    assert not report.warnings, report
    for folder in path.iterdir():
        if not folder.name.isdecimal():
            continue
        block = block_of(path, folder.name)
        assert set(block["arrays_present"]) == {one.name for one in folder.iterdir() if one.is_dir()}
        assert all((folder / node / "zarr.json").exists() for node in block["nodes"])


@pytest.mark.parametrize("version", REVISIONS)
@pytest.mark.parametrize("storage", ["none", "explicit"])
def test_fewer_levels_leave_no_entry_of_the_others(tmp_path, version, storage):
    path = tmp_path / "a"
    write_cloud(path, version)
    build_pyramid(path, [(2.0, 1.0), (4.0, 1.0), (8.0, 1.0)], cross_level_storage=storage)
    build_pyramid(path, [(4.0, 1.0)], overwrite=True)
    assert [entry["path"] for entry in root_of(path)["multiscales"][0]["datasets"]] == ["0", "1"]
    for name in ("2", "3"):
        assert not (path / name).exists()
    check(path)


@pytest.mark.parametrize("version", REVISIONS)
@pytest.mark.parametrize("before", ["implicit", "explicit"])
@pytest.mark.parametrize("write", [write_cloud, write_network])
def test_links_across_levels_go_without_a_trace(tmp_path, version, before, write):
    path = tmp_path / "a"
    write(path, version)
    families = {name for name in FAMILIES if (path / "0" / name).exists()}
    nodes = block_of(path, 0)["nodes"]
    build_pyramid(path, [(2.0, 1.0), (8.0, 1.0)], cross_level_storage=before, cross_level_depth=2)
    check(path)
    build_pyramid(path, [(2.0, 1.0), (8.0, 1.0)], cross_level_storage="none", overwrite=True)
    assert {name for name in FAMILIES if (path / "0" / name).exists()} == families
    assert block_of(path, 0)["nodes"] == nodes
    root = root_of(path)["zarr_vectors"]
    assert "multiscale_links" not in root["format_capabilities"]
    assert (root["cross_level_storage"], root["cross_level_depth"]) == ("none", 0)
    check(path)


@pytest.mark.parametrize("version", REVISIONS)
def test_link_attributes_across_levels_go_with_their_links(tmp_path, version):
    path = tmp_path / "a"
    write_network(path, version)
    build_pyramid(path, [(2.0, 1.0)], cross_level_storage="implicit")
    kept = {str(file.relative_to(path)) for file in (path / "0").rglob("*")}
    families = [name for name in FAMILIES if name.endswith("attributes") and (path / "0" / name).exists()]
    assert families
    block = json.loads((path / "0" / "zarr.json").read_text())
    for family in families:
        for name in ("w", "extra"):
            (path / "0" / family / name / "+1").mkdir(parents=True)
            group = {"zarr_format": 3, "node_type": "group", "attributes": {"name": name, "dtype": "float64"}}
            for node in (f"{family}/{name}", f"{family}/{name}/+1"):
                file = path / "0" / node / "zarr.json"
                if not file.exists():
                    file.write_text(json.dumps(group))
                    block["attributes"]["zarr_vectors_level"]["nodes"].append(node)
    (path / "0" / "zarr.json").write_text(json.dumps(block))
    build_pyramid(path, [(2.0, 1.0)], overwrite=True)
    assert {str(file.relative_to(path)) for file in (path / "0").rglob("*")} == kept
    check(path)


@pytest.mark.parametrize("version", REVISIONS)
@pytest.mark.parametrize("storage", [None, "none", "implicit"])
@pytest.mark.parametrize("target", [1, 2, 3])
def test_a_replaced_level_leaves_no_dangling_links(tmp_path, version, storage, target):
    path = tmp_path / "a"
    write_cloud(path, version, object_ids=np.arange(800) % 5)
    build_pyramid(path, [(2.0, 1.0), (4.0, 1.0), (8.0, 1.0)], cross_level_storage="explicit")
    coarsen_level(path, 0, target, coarsen_factor=2.0**target, cross_level_storage=storage, overwrite=True)
    check(path)
    counts = [read_points(path, level=level).vertex_count for level in range(4)]
    for fine in range(3):
        try:
            links = read_cross_level_links(path, fine, 1)
        except UnknownNameError:
            assert target in (fine, fine + 1)
            assert storage == "none" or (fine, target) != (0, 1)
            continue
        assert target not in (fine, fine + 1) or (fine, target) == (0, 1)
        assert len(links) == counts[fine]
        assert links[:, 1].max() < counts[fine + 1]
    root = root_of(path)["zarr_vectors"]
    assert "multiscale_links" in root["format_capabilities"]
    assert root["cross_level_storage"] != "none"


def test_the_only_level_replaced_without_links_leaves_none(tmp_path):
    path = tmp_path / "a"
    write_cloud(path, "0.7")
    build_pyramid(path, [(2.0, 1.0)], cross_level_storage="explicit")
    coarsen_level(path, 0, 1, cross_level_storage="none", overwrite=True)
    assert "multiscale_links" not in root_of(path)["zarr_vectors"]["format_capabilities"]
    check(path)


def test_a_level_coarser_than_the_next_or_finer_than_the_last_is_refused(tmp_path):
    path = tmp_path / "a"
    write_cloud(path, "0.9", object_ids=np.arange(800) % 20)
    build_pyramid(path, [(2.0, 1.0), (4.0, 2.0), (8.0, 2.0)])
    before = (path / "zarr.json").read_bytes()
    with pytest.raises(ArgumentError, match=r"level 1 .*\(8, 8, 8\).*level 2 has \(4, 4, 4\)"):
        coarsen_level(path, 0, 1, coarsen_factor=8.0, overwrite=True)
    with pytest.raises(ArgumentError, match=r"level 3 .*\(2, 3, 4\).*level 2 has \(4, 4, 4\)"):
        coarsen_level(path, 0, 3, coarsen_factor=(2, 3, 4), sparsity_factor=2.0, overwrite=True)
    with pytest.raises(ArgumentError, match=r"level 1 would have object sparsity 0.25, but level 2 has 0.5"):
        coarsen_level(path, 0, 1, sparsity_factor=4.0, overwrite=True)
    with pytest.raises(ArgumentError, match=r"level 4 would have object sparsity 1, but level 2 has 0.5"):
        coarsen_level(path, 1, 4, coarsen_factor=8.0)
    assert (path / "zarr.json").read_bytes() == before
    check(path)
    coarsen_level(path, 0, 1, coarsen_factor=4.0, overwrite=True)
    check(path)


def test_levels_made_one_by_one_keep_objects_of_the_finer_ones(tmp_path):
    path = tmp_path / "a"
    write_cloud(path, "0.9", object_ids=np.arange(800) % 40)
    for level in (1, 2, 3):
        coarsen_level(path, level - 1, level, sparsity_factor=2.0, sparsity_seed=level)
    coarsen_level(path, 1, 2, sparsity_factor=2.0, sparsity_seed=9, overwrite=True)
    kept = [set(read_points(path, level=level).object_ids) for level in range(4)]
    assert [len(objects) for objects in kept] == [40, 20, 10, 5]
    assert kept[3] < kept[2] < kept[1] < kept[0]
    check(path)


@pytest.mark.parametrize("version", REVISIONS)
@pytest.mark.parametrize(
    ("stated", "made"),
    [
        ({}, set()),
        ({"cross_level_depth": 0}, set()),
        ({"cross_level_depth": 0, "cross_level_storage": "explicit"}, set()),
        ({"cross_level_storage": "implicit"}, {(0, 1), (1, 2)}),
        ({"cross_level_depth": 2}, {(0, 1), (1, 2), (0, 2)}),
        ({"cross_level_depth": 2, "cross_level_storage": "implicit"}, {(0, 1), (1, 2), (0, 2)}),
        ({"cross_level_depth": -1, "cross_level_storage": "explicit"}, {(0, 1), (1, 2)}),
    ],
)
def test_a_store_says_which_links_a_pyramid_makes(tmp_path, version, stated, made):
    path = tmp_path / "a"
    root = create_store(path, chunk_shape=50.0, base_bin_shape=12.5, ndim=3, format_version=version, **stated)
    write_points(root, np.random.default_rng(0).uniform(0, 100, (200, 3)))

    def links():
        found = set()
        for fine, coarse in ((0, 1), (1, 2), (0, 2)):
            try:
                read_cross_level_links(path, fine, coarse - fine)
            except UnknownNameError:
                continue
            found.add((fine, coarse))
        return found

    for _ in range(2):
        build_pyramid(path, [(2, 1), (4, 1)], overwrite=True)
        assert links() == made
        assert {key: root_of(path)["zarr_vectors"].get(key) for key in stated} == stated
    write_points(path, np.full((1, 3), 7.0), mode="a")
    assert links() == made
    told = set() if stated.get("cross_level_depth") == 0 else made or {(0, 1), (1, 2)}
    build_pyramid(path, [(2, 1), (4, 1)], cross_level_storage="explicit", overwrite=True)
    assert links() == told
    build_pyramid(path, [(2, 1), (4, 1)], cross_level_storage="explicit", cross_level_depth=1, overwrite=True)
    assert links() == {(0, 1), (1, 2)}
    check(path)


@pytest.mark.parametrize(
    ("ndim", "factor", "folds"),
    [
        (3, None, [(2, 2, 2), (4, 4, 4)]),
        (3, 27, [(3, 3, 3), (9, 9, 9)]),
        (3, 2, [(2, 1, 1), (2, 2, 1)]),
        (2, 4, [(2, 2), (4, 4)]),
        (2, 12, [(3, 4), (9, 16)]),
        (1, 5, [(5,), (25,)]),
    ],
)
def test_a_store_says_how_much_a_pyramid_folds(tmp_path, ndim, factor, folds):
    root = create_store(tmp_path / "a", chunk_shape=64.0, base_bin_shape=1.0, ndim=ndim, reduction_factor=factor)
    write_points(root, np.random.default_rng(0).uniform(0, 100, (100, ndim)))
    assert [level.bin_ratio for level in build_pyramid(tmp_path / "a").levels] == folds
