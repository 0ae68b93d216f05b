"""Consolidated metadata: used where it says what is there, never where it does not."""

from __future__ import annotations

import json
import uuid
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import zarr_vectors as zv
from tests.servers import http_server
from zarr_vectors.core.store import consolidate_metadata
from zarr_vectors.exceptions import ReadOnlyStoreError, StoreNotFoundError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage import resolve_storage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.points import read_points, write_points

POSITIONS = np.random.default_rng(3).uniform(0, 100, (300, 3)).astype(np.float32)


def write(place: Any, count: int = 300, **options: Any) -> None:
    write_points(place, POSITIONS[:count], chunk_shape=50, attributes={"row": np.arange(count)}, **options)


def documents_read(place: Any, level: int = 0) -> tuple[list[str], int]:
    """Return the documents that opening a level reads, and how many folders it lists."""
    storage = CountingStorage(resolve_storage(place, mode="r"))
    zv.open_store(storage).reader.level(level)
    listed = [r.address for r in storage.log if r.kind == "list" and not r.address.startswith(".zv-")]
    return storage.addresses(), len(listed)


@pytest.fixture(params=["ours", "zarr"])
def consolidated(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store with a block that one of the two programs wrote."""
    place = tmp_path / "a.zv"
    write(place)
    if request.param == "ours":
        assert consolidate_metadata(place) > 3
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr-python: neither the block nor byte strings are in the specification
            zarr.consolidate_metadata(str(place))
    return place


def has_block(place: Path) -> bool:
    return "consolidated_metadata" in json.loads((place / "zarr.json").read_text())


def test_it_is_used_instead_of_separate_reads(consolidated: Path) -> None:
    read, listed = documents_read(consolidated)
    assert sorted(read) == ["0/vertex_fragments/zarr.json", "0/vertices/zarr.json", "0/zarr.json", "zarr.json"]
    assert listed == 0
    assert len(read_points(consolidated, bbox=([0] * 3, [101] * 3), attributes=["row"]).positions) == 300


def test_zarr_reads_ours(tmp_path: Path) -> None:
    write(tmp_path / "a.zv")
    count = consolidate_metadata(tmp_path / "a.zv")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.open_consolidated(str(tmp_path / "a.zv"))
    assert group.metadata.consolidated_metadata is not None
    assert len(group.metadata.consolidated_metadata.flattened_metadata) == count
    assert dict(group["0"].attrs) == dict(zv.open_store(tmp_path / "a.zv")["0"].attrs)


@pytest.mark.parametrize(
    "change",
    [
        lambda place: write_points(place, POSITIONS[:5], attributes={"row": np.arange(5)}, mode="a"),
        lambda place: build_pyramid(place, factors=[(2, 1)]),
        lambda place: zv.open_store(place, "r+")["0"].attrs.update({"note": 1}),
        lambda place: zv.open_store(place, "r+").attrs.update({"note": 1}),
        lambda place: zv.open_store(place, "r+").write_array("0/extra", np.arange(3)),
        lambda place: zv.open_store(place, "r+").zarr_group.create_array("extra", shape=(3,), dtype="int8"),
        lambda place: consolidate_metadata(place, remove=True),
    ],
    ids=["append", "pyramid", "level attributes", "root attributes", "array", "zarr group", "remove"],
)
def test_our_changes_remove_it(consolidated: Path, change: Any) -> None:
    change(consolidated)
    assert not has_block(consolidated)


def test_opening_for_writing_and_reading_leave_it(consolidated: Path) -> None:
    zv.open_store(consolidated, "r+")
    read_points(consolidated)
    assert has_block(consolidated)


def test_a_stale_block_is_not_used(tmp_path: Path) -> None:
    """Another program has appended without it."""
    write(tmp_path / "a.zv", 100)
    consolidate_metadata(tmp_path / "a.zv")
    block = json.loads((tmp_path / "a.zv" / "zarr.json").read_text())["consolidated_metadata"]
    write_points(
        tmp_path / "a.zv", POSITIONS[100:] + 100, attributes={"row": np.arange(200)}, mode="a", out_of_bounds="expand"
    )
    root = json.loads((tmp_path / "a.zv" / "zarr.json").read_text())
    (tmp_path / "a.zv" / "zarr.json").write_text(json.dumps({**root, "consolidated_metadata": block}))
    assert len(read_points(tmp_path / "a.zv").positions) == 300
    assert len(documents_read(tmp_path / "a.zv")[0]) > 4


def test_an_array_that_the_block_lacks_is_found(tmp_path: Path) -> None:
    write(tmp_path / "a.zv")
    consolidate_metadata(tmp_path / "a.zv")
    path = tmp_path / "a.zv" / "zarr.json"
    root = json.loads(path.read_text())
    del root["consolidated_metadata"]["metadata"]["0/vertex_attributes/row"]
    path.write_text(json.dumps(root))
    assert read_points(tmp_path / "a.zv").attributes["row"].shape == (300,)


@pytest.mark.parametrize("block", [None, 3, {"kind": "other", "metadata": {}}, {"kind": "inline", "metadata": [1]}])
def test_blocks_of_other_kinds_are_passed_over(tmp_path: Path, block: Any) -> None:
    write(tmp_path / "a.zv")
    path = tmp_path / "a.zv" / "zarr.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "consolidated_metadata": block}))
    assert len(read_points(tmp_path / "a.zv").positions) == 300


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_every_level_of_a_store_behind_plain_http(tmp_path: Path, revision: str) -> None:
    place = tmp_path / "a.zv"
    edges = np.stack([np.arange(299), np.arange(1, 300)], axis=1)
    write_graph(place, POSITIONS, edges, chunk_shape=50, bin_shape=12.5, format_version=revision)
    build_pyramid(place, factors=[(2, 1)])
    consolidate_metadata(place)
    with http_server(tmp_path) as url:
        for level in (0, 1):
            near, far = read_graph(place, level=level), read_graph(f"{url}/a.zv", level=level)
            np.testing.assert_array_equal(near.positions, far.positions)
            np.testing.assert_array_equal(near.edges, far.edges)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        consolidate_metadata(tmp_path / "none.zv")
    write(tmp_path / "a.zv")
    with pytest.raises(ReadOnlyStoreError, match="opened for reading only"):
        consolidate_metadata(zv.open_store(tmp_path / "a.zv"))


def test_an_open_group_that_consolidates_and_then_writes(tmp_path: Path) -> None:
    place = f"memory://{uuid.uuid4().hex}"
    write(place)
    root = zv.open_store(place, "r+")
    root.attrs["first"] = 1
    consolidate_metadata(root)
    assert zv.open_store(place).reader.is_consolidated
    root["0"].attrs["second"] = 2
    assert not zv.open_store(place).reader.is_consolidated
