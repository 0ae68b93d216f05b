"""The ten stores of the specification's examples: their trees, their metadata, and what comes back from them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.format import (
    e01_nuclei,
    e02_mesh_pyramid,
    e03_skeletons,
    e04_vessels_2d,
    e05_tracks_xyzt,
    e06_gene_expression,
    e07_spots_to_cells,
    e08_trx_single_chunk,
    e09_shared_streamlines,
    e10_distributed_append,
)
from tests.examples.conftest import Built
from tests.examples.described import EXAMPLES, stored_tree
from zarr_vectors.core.store import open_store
from zarr_vectors.read.objects import read_groups, read_manifests
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import read_graph
from zarr_vectors.types.meshes import read_mesh
from zarr_vectors.types.points import read_points
from zarr_vectors.types.polylines import read_polylines
from zarr_vectors.validate import validate

ROOT = Path(__file__).parents[2]
STAMPS = {"0.7": "0.7.0", "0.9": "0.9.2"}
REVISIONS = tuple(STAMPS)

pytestmark = pytest.mark.parametrize("revision", REVISIONS)


def attributes_of(path: Path, node: str = "") -> Any:
    return json.loads((path / node / "zarr.json").read_text())["attributes"]


def level_block(path: Path, level: int) -> Any:
    return attributes_of(path, str(level))["zarr_vectors_level"]


def rows_of(*columns: Any) -> Any:
    """Return rows in an order that does not depend on how they came."""
    table = np.column_stack([np.asarray(column, np.float64) for column in columns])
    return table[np.lexsort(table.T[::-1])]


def assert_same_paths(found: Any, expected: list[Any]) -> None:
    assert found.polyline_count == len(expected)
    assert all(one.tobytes() == other.tobytes() for one, other in zip(found.polylines, expected, strict=True))


@pytest.mark.parametrize("name", EXAMPLES)
def test_tree_is_as_described(built: Built, name: str, revision: str) -> None:
    path, described = built(name, revision), EXAMPLES[name]
    levels = {int(child.name) for child in path.iterdir() if child.name.isdigit()}
    assert levels == set(described.levels)
    for level in levels:
        assert stored_tree(path, level) == described.tree(level, revision)
        assert (path / str(level) / "object_index" / "manifests").exists() is described.indexed
        families = {array.split("/")[0] for array in described.tree(level, revision)}
        assert set(level_block(path, level)["arrays_present"]) >= families


@pytest.mark.parametrize("name", EXAMPLES)
def test_metadata_is_as_described(built: Built, name: str, revision: str) -> None:
    path, described = built(name, revision), EXAMPLES[name]
    root = attributes_of(path)["zarr_vectors"]
    assert root["zv_version"] == STAMPS[revision]
    assert {key: root[key] for key in described.root} == described.root
    capabilities = [one for one in root["format_capabilities"] if revision == "0.7" or one != "fragment_link_groups"]
    assert len(capabilities) == len(described.capabilities)
    assert set(capabilities) == described.capabilities
    datasets = attributes_of(path)["multiscales"][0]["datasets"]
    assert [entry["path"] for entry in datasets] == [str(level) for level in described.levels]
    for level in described.levels:
        block = level_block(path, level)
        grown = described.chunk_shapes[level]
        assert block.get("chunk_shape") == (None if grown is None else [grown] * 3)
        assert block.get("preserves_object_ids") is (None if level == 0 else True)
        assert block["shared_fragments"] is described.shared


@pytest.mark.parametrize("name", EXAMPLES)
def test_validates(built: Built, name: str, revision: str) -> None:
    report = validate(built(name, revision), level=5)
    assert report.is_valid, report.report()
    assert not report.warnings


@pytest.mark.parametrize("name", ["e06_gene_expression", "e08_trx_single_chunk"])
def test_runs_as_a_program(tmp_path: Path, name: str, revision: str) -> None:
    command = [sys.executable, ROOT / "examples" / "format" / f"{name}.py", tmp_path / "store", revision]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"written as revision {STAMPS[revision]}" in done.stdout
    assert "Level 5 validation: PASS" in done.stdout


def test_nuclei(built: Built, revision: str) -> None:
    path = built("e01_nuclei", revision)
    centroids, volumes, region = e01_nuclei.make_nuclei()
    found = read_points(path)
    order = np.argsort(found.object_ids)
    assert found.positions[order].tobytes() == centroids.tobytes()
    assert found.attributes["volume"][order].tobytes() == volumes.tobytes()
    groups = read_groups(open_reader(path).level(1))
    assert groups is not None
    for number in range(len(e01_nuclei.REGIONS)):
        members = np.flatnonzero(region == number)
        assert np.array_equal(groups.of(number), members)
        assert set(read_points(path, group_ids=number).object_ids) == set(members)
    counts = [level_block(path, level)["vertex_count"] for level in range(3)]
    assert counts == [2000, 500, 125]


def test_every_nucleus_is_one_fragment(built: Built, revision: str) -> None:
    level = open_reader(built("e01_nuclei", revision)).level(0)
    assert np.array_equal(np.diff(read_manifests(level, None).offsets), np.ones(e01_nuclei.COUNT))


def test_mesh(built: Built, revision: str) -> None:
    path = built("e02_mesh_pyramid", revision)
    vertices, faces = e02_mesh_pyramid.make_surface()
    found = read_mesh(path)
    assert found.closed_surface is True
    corners, expected = found.vertices[found.faces].reshape(-1, 9), vertices[faces].reshape(-1, 9)
    assert np.array_equal(rows_of(corners), rows_of(expected))
    coarse = [read_mesh(path, level=level) for level in (1, 2)]
    assert len(faces) > coarse[0].face_count > coarse[1].face_count > 0
    level_1 = level_block(path, 1)
    assert (level_1["bin_shape"], level_1["bin_ratio"]) == ([400.0] * 3, [2, 2, 2])


def test_mesh_in_draco(built: Built, revision: str) -> None:
    pytest.importorskip("DracoPy", reason='needs the extra draco: pip install "zarr-vectors[draco]"')
    path = built("e02_mesh_pyramid", revision, "build_draco")
    vertices, faces = e02_mesh_pyramid.make_surface()
    assert attributes_of(path, "0/vertices")["encoding"] == "draco"
    found = read_mesh(path)
    assert (found.vertex_count, found.face_count) == (len(vertices), len(faces))
    step = np.ptp(vertices) / 2**14
    corners = found.vertices[found.faces].mean(axis=(0, 1))
    np.testing.assert_allclose(corners, vertices[faces].mean(axis=(0, 1)), atol=step)
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("name", ["e02_mesh_pyramid", "e03_skeletons"])
def test_links_have_the_width_of_their_kind(built: Built, name: str, revision: str) -> None:
    family = open_reader(built(name, revision)).level(0).arrays.links
    assert family[0].width == (3 if "mesh" in name else 2)
    assert family[1].width == 2


def test_skeletons(built: Built, revision: str) -> None:
    path = built("e03_skeletons", revision)
    nodes, edges, kinds, radii = (list(column) for column in zip(*e03_skeletons.make_neurons(), strict=True))
    for neuron in range(e03_skeletons.NEURONS):
        found = read_graph(path, object_ids=[neuron], restore_order=True)
        assert found.positions.tobytes() == nodes[neuron].tobytes()
        assert np.array_equal(found.edges, edges[neuron])
        assert np.array_equal(found.attributes["vertex_type"], kinds[neuron])
        assert found.attributes["radius"].tobytes() == radii[neuron].tobytes()
    stored = attributes_of(path, "0/links/0").get("num_links")
    if stored is not None:
        assert stored < sum(map(len, edges)) / 2


def test_vessels(built: Built, revision: str) -> None:
    path = built("e04_vessels_2d", revision)
    lines, radii, types = e04_vessels_2d.make_vessels()
    found = read_polylines(path)
    assert_same_paths(found, lines)
    assert found.attributes["radius"].tobytes() == np.concatenate(radii).tobytes()
    assert np.array_equal(found.attributes["vessel_type"], np.concatenate(types))


def test_tracks(built: Built, revision: str) -> None:
    path = built("e05_tracks_xyzt", revision)
    tracks = e05_tracks_xyzt.make_tracks()
    assert_same_paths(read_polylines(path), tracks)
    axes = attributes_of(path)["multiscales"][0]["axes"]
    assert [(axis["name"], axis["type"]) for axis in axes] == [
        ("x", "space"),
        ("y", "space"),
        ("z", "space"),
        ("t", "time"),
    ]
    low, high = (0, 0, 0, 600), (200, 200, 200, 900)
    seen = read_polylines(path, bbox=(low, high)).object_ids
    assert seen is not None
    expected = [n for n, track in enumerate(tracks) if ((track[:, 3] >= 600) & (track[:, 3] < 900)).any()]
    assert 0 < len(expected) < len(tracks)
    assert seen.tolist() == expected


def test_gene_expression(built: Built, revision: str) -> None:
    path = built("e06_gene_expression", revision)
    centroids, counts, kind = e06_gene_expression.make_cells()
    found = read_points(path)
    order = np.argsort(found.object_ids)
    assert found.positions[order].tobytes() == centroids.tobytes()
    assert np.array_equal(found.attributes["gene_expression"][order], counts)
    assert np.array_equal(found.attributes["cell_type"][order], kind)
    named = attributes_of(path, "0/vertex_attributes/gene_expression")["channel_names"]
    assert tuple(named) == found.channel_names["gene_expression"] == e06_gene_expression.GENES


def test_genes_as_chunks(built: Built, revision: str) -> None:
    path = built("e06_gene_expression", revision, "build_by_gene")
    centroids, counts, _ = e06_gene_expression.make_cells()
    block = level_block(path, 0)
    assert block["chunk_dims"] == ["gene", "x", "y"]
    assert block["chunk_attribute_name"] == "gene"
    genes = block["chunk_attribute_values"]
    assert sorted(genes) == sorted(e06_gene_expression.GENES)
    assert not (path / "0" / "vertex_attributes" / "gene").exists()
    gene = e06_gene_expression.GENES.index("GENE7")
    found = read_points(path, attribute_filter={"gene": "GENE7"})
    cells = np.flatnonzero(counts[:, gene])
    expected = rows_of(centroids[cells], counts[cells, gene], cells)
    assert np.array_equal(rows_of(found.positions, found.attributes["count"], found.attributes["cell"]), expected)
    assert validate(path, level=5).is_valid


def test_spots(built: Built, revision: str) -> None:
    path = built("e07_spots_to_cells", revision)
    data = e07_spots_to_cells.make_spots()
    found = read_points(path)
    columns = [found.attributes[name] for name in ("gene_id", "intensity", "round")]
    expected = [data[name] for name in ("gene_id", "intensity", "round")]
    assert np.array_equal(
        rows_of(found.positions, found.object_ids, *columns), rows_of(data["spots"], data["cell"], *expected)
    )
    level = open_reader(path).level(0)
    assert np.diff(read_manifests(level, None).offsets).max() > 1
    centroid = level.arrays.object_attributes["centroid"]
    values = centroid.decode(level.storage.get_many(centroid.requests(None)), None)
    assert np.array_equal(values, e07_spots_to_cells.centroids_of(data["spots"], data["cell"]))
    glia = np.flatnonzero(data["cell_type"] == e07_spots_to_cells.CLUSTERS.index("glia"))
    assert set(read_points(path, group_ids="glia").object_ids) == set(glia)


def test_single_chunk(built: Built, revision: str) -> None:
    path = built("e08_trx_single_chunk", revision)
    lines, tract = e08_trx_single_chunk.make_streamlines()
    found = read_polylines(path)
    assert_same_paths(found, lines)
    assert found.attributes["color"].shape == (len(found.positions), 3)
    level = open_reader(path).level(0)
    assert level.chunks.tolist() == [[0, 0, 0]]
    groups = read_groups(level)
    assert groups is not None
    assert [groups.of(g).tolist() for g in range(3)] == [np.flatnonzero(tract == g).tolist() for g in range(3)]
    assert set(groups.attributes) == {"tract_name", "mean_fa", "shuffle_colors", "volume"}
    assert_same_paths(read_polylines(path, object_ids=[7, 2]), [lines[7], lines[2]])


def test_shared_streamlines(built: Built, revision: str) -> None:
    path = built("e09_shared_streamlines", revision)
    lines, _, ends = e09_shared_streamlines.make_tracts()
    found = read_polylines(path)
    assert_same_paths(found, lines)
    assert np.array_equal(found.object_attributes["termination"], ends)
    assert level_block(path, 0)["vertex_count"] < 0.4 * sum(map(len, lines))
    low, high = np.array([75, 25, 60]), np.array([100, 35, 100])
    seen = read_polylines(path, bbox=(low, high)).object_ids
    assert seen is not None
    expected = [n for n, line in enumerate(lines) if ((line >= low) & (line < high)).all(axis=1).any()]
    assert 0 < len(expected) < len(lines)
    assert seen.tolist() == expected


def test_appended_tiles(built: Built, revision: str) -> None:
    path = built("e10_distributed_append", revision)
    for tile in e10_distributed_append.tiles():
        nodes, edges, ids = e10_distributed_append.trace_tile(tile)
        for number, object_id in enumerate(ids.tolist()):
            found = read_graph(path, object_ids=[object_id], restore_order=True)
            assert found.positions.tobytes() == nodes[number].tobytes()
            assert np.array_equal(found.edges, edges[number])


def test_appended_tiles_are_counted_once(built: Built, revision: str) -> None:
    ids = [t for tile in e10_distributed_append.tiles() for t in e10_distributed_append.trace_tile(tile)[2].tolist()]
    assert len(ids) == len(set(ids))
    assert open_store(built("e10_distributed_append", revision))["0/object_index"].attrs["num_objects"] == len(ids)
