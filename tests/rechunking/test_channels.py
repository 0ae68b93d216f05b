"""Chunking along the channels of an attribute: read back as one, and one channel by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors import RechunkSpec, rechunk, rechunk_by_attribute
from zarr_vectors.edit import append_vertices, move_vertices, remove_attribute
from zarr_vectors.exceptions import ArgumentError, ArrayError, MetadataError, UnknownNameError
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader, open_storage
from zarr_vectors.repair import repair
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

GENES = tuple(f"GENE{number}" for number in range(7))
RNG = np.random.default_rng(1)
CELLS = RNG.uniform(0, 100, (80, 2)).astype(np.float32)
COUNTS = RNG.poisson(3, (80, 7)).astype(np.uint16)
BY_GENE = RechunkSpec("attribute:expression", prefix_dim_name="gene")
REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])


def write(path: Path, revision: str, kind: str = "points", **options: Any) -> None:
    common: dict[str, Any] = {
        "attributes": {"expression": COUNTS, "row": np.arange(80)},
        "attribute_specs": {"expression": {"channel_names": GENES}},
        "axes": ["x", "y"],
        "chunk_shape": 50,
        "bin_shape": 25,
        "format_version": revision,
        **options,
    }
    if kind == "points":
        write_points(path, CELLS, object_ids=np.arange(80) % 9, **common)
    elif kind == "polylines":
        write_polylines(path, CELLS, offsets=np.arange(0, 81, 10), **common)
    elif kind == "graph":
        write_graph(path, CELLS, np.stack([np.arange(79), np.arange(1, 80)], 1), **common)
    else:
        flat = {**common, "axes": ["x", "y", "z"]}
        write_mesh(path, np.column_stack([CELLS, np.zeros(80)]), RNG.permutation(78).reshape(-1, 3), **flat)


READERS: dict[str, Any] = {"points": read_points, "polylines": read_polylines, "graph": read_graph, "mesh": read_mesh}


def assert_read(path: Path, kind: str = "points") -> None:
    """Compare the attribute with what was written, and its metadata."""
    found = READERS[kind](path)
    rows = found.attributes["row"]
    assert sorted(rows.tolist()) == list(range(80))
    assert found.attributes["expression"].dtype == np.uint16
    np.testing.assert_array_equal(found.attributes["expression"], COUNTS[rows])
    assert found.channel_names == {"expression": GENES}
    one = READERS[kind](path, attributes=["expression/GENE5", "row"]).attributes
    assert list(one) == ["expression/GENE5", "row"]
    np.testing.assert_array_equal(one["expression/GENE5"], COUNTS[one["row"], 5])
    report = validate(path, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("kind", READERS)
@REVISIONS
def test_every_kind_reads_as_before_and_can_be_put_together_again(tmp_path: Path, revision: str, kind: str) -> None:
    write(tmp_path / "a", revision, kind)
    assert_read(tmp_path / "a", kind)
    made = rechunk(tmp_path / "a", BY_GENE)
    assert (made["bins"], made["bins_created"]) == (list(GENES), 7)
    assert_read(tmp_path / "a", kind)
    rechunk(tmp_path / "a", RechunkSpec("attribute:expression", bins=[0, 3, 5]))
    assert_read(tmp_path / "a", kind)
    rechunk(tmp_path / "a", RechunkSpec("spatial"))
    assert_read(tmp_path / "a", kind)
    array = open_reader(tmp_path / "a").level(0).arrays.vertex_attributes["expression"]
    assert "channel_bins" not in array.document


@REVISIONS
def test_the_metadata_name_the_channels(tmp_path: Path, revision: str) -> None:
    write(tmp_path / "a", revision)
    rechunk(tmp_path / "a", BY_GENE)
    level = json.loads((tmp_path / "a" / "0" / "zarr.json").read_text())["attributes"]["zarr_vectors_level"]
    assert level["chunk_dims"] == ["gene", "x", "y"]
    assert level["chunk_attribute_values"] == list(GENES)
    assert "chunk_attribute_name" not in level  # the values of the attribute do not stand in the keys


@REVISIONS
def test_one_channel_reads_the_cells_of_its_bin(tmp_path: Path, revision: str) -> None:
    write(tmp_path / "a", revision, shard_shape=None)
    rechunk(tmp_path / "a", BY_GENE)
    storage = CountingStorage(resolve_storage(tmp_path / "a"))
    store = open_storage(storage)
    chunks = len(store.level(0).chunks)

    def cells() -> set[str]:
        data = [a for a in storage.addresses() if "/expression/" in a and not a.endswith("zarr.json")]
        return {address.split("/expression/")[1].removeprefix("c/").replace("/", ".").split(".")[0] for address in data}

    storage.reset()
    found = read_points(store, attributes=["row"], attribute_filter={"expression/GENE2": (4, 99)})
    assert sorted(found.attributes["row"].tolist()) == np.flatnonzero(COUNTS[:, 2] >= 4).tolist()
    assert cells() == {"2"}
    storage.reset()
    read_points(store, attributes=["expression"])
    assert cells() == set("0123456")
    assert len([a for a in storage.addresses() if "/vertices/" in a and not a.endswith("zarr.json")]) == chunks
    with pytest.raises(UnknownNameError, match="GENE9"):
        read_points(store, attributes=["expression/GENE9"])


@REVISIONS
def test_steps_keep_the_channels_apart(tmp_path: Path, revision: str) -> None:
    write(tmp_path / "a", revision)
    rechunk_by_attribute(tmp_path / "a", "expression")
    migrate(tmp_path / "a", tmp_path / "b", format_version="0.7" if revision == "0.9" else "0.9")
    assert "nothing to repair" in str(repair(tmp_path / "a"))
    for path in (tmp_path / "a", tmp_path / "b"):
        assert_read(path)
        move_vertices(path, [[50, 50]], rows=[0])
        assert_read(path)
        append_vertices(path, [[49, 51]], object_ids=50, attributes={"expression": COUNTS[:1], "row": [80]})
        np.testing.assert_array_equal(read_points(path, object_ids=[50]).attributes["expression"], COUNTS[:1])
        with pytest.raises(ArgumentError, match="go by vertex attribute 'expression'"):
            remove_attribute(path, "expression")
        with pytest.raises(ArgumentError, match="by='spatial', append"):
            write_points(path, CELLS[:1], attributes={"expression": COUNTS[:1], "row": [81]}, mode="a")
        build_pyramid(path, [(4.0, 1.0)])
        assert read_points(path, level=1).attributes["expression"].shape[1] == 7
        array = open_reader(path).level(0).arrays.vertex_attributes["expression"]
        assert array.document["channel_bins"] == {"starts": list(range(7)), "channel_names": list(GENES)}
        assert validate(path, level=5).is_valid


def test_bins_of_channels_start_at_whole_numbers(tmp_path: Path) -> None:
    write(tmp_path / "a", "0.9")
    for bins in ([0, 2.5], [0, 7], [0, 9]):
        with pytest.raises(ArgumentError, match="7 channels"):
            rechunk(tmp_path / "a", RechunkSpec("attribute:expression", bins=bins))
    assert_read(tmp_path / "a")


def test_channels_that_do_not_fit_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a", "0.9", shard_shape=None)
    rechunk(tmp_path / "a", BY_GENE)
    folder = tmp_path / "a" / "0" / "vertex_attributes" / "expression"
    (folder / "c" / "4" / "0" / "0").write_bytes((folder / "c" / "4" / "1" / "1").read_bytes())
    with pytest.raises(ArrayError, match=r"expression: chunk 4\.0\.0"):
        read_points(tmp_path / "a")
    document = json.loads((folder / "zarr.json").read_text())
    document["attributes"]["channel_bins"]["starts"] = [0, 3, 2]
    (folder / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(MetadataError, match="channel_bins must ascend"):
        read_points(tmp_path / "a")
