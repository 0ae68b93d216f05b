"""Groups: navigation, attributes, ordinary arrays, single chunks, batches and shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
import zarr.storage

from zarr_vectors.constants import SHELL_KEY, VERTEX_FRAGMENTS, VERTICES
from zarr_vectors.core.arrays import (
    create_attribute_array,
    create_vertices_array,
    list_chunk_keys,
    read_chunk_attributes,
    read_chunk_vertices,
    write_chunk_attributes,
    write_chunk_vertices,
)
from zarr_vectors.core.group import Group
from zarr_vectors.core.store import create_store, open_store, read_level_metadata
from zarr_vectors.exceptions import (
    ArgumentError,
    ArrayError,
    MetadataError,
    ShapeError,
    StoreError,
    UnknownNameError,
    UnsupportedFeatureError,
)
from zarr_vectors.spatial.chunking import compute_grid_shape
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")

BOUNDS = ([-100.0, -100.0, -100.0], [100.0, 100.0, 100.0])
CHUNK = (50.0, 50.0, 50.0)
GRID = compute_grid_shape(BOUNDS, CHUNK)


@pytest.fixture(params=["0.9", "0.7", "sharded"])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class PutCounting(CountingStorage):
    """Counts the calls that write, too."""

    def __init__(self, inner: LocalStorage) -> None:
        super().__init__(inner)
        self.put_calls = 0

    def put_many(self, items: Any) -> None:
        self.put_calls += 1
        super().put_many(items)


def shell(path: Path, layout: str = "0.9") -> tuple[Group, PutCounting]:
    """Make a shell with negative chunks and open its level 0 through a counting storage."""
    revision = "0.7" if layout == "0.7" else "0.9"
    create_store(path, bounds=BOUNDS, chunk_shape=CHUNK, format_version=revision)
    counted = PutCounting(LocalStorage(path))
    return open_store(counted, "r+")["0"], counted


def positions(count: int = 400) -> Any:
    return (np.random.default_rng(3).random((count, 3)) * 200 - 100).astype(np.float32)


def by_chunk(points: Any) -> dict[tuple[int, ...], Any]:
    chunks = np.floor(points / CHUNK).astype(int)
    keys = np.unique(chunks, axis=0)
    return {tuple(key.tolist()): points[(chunks == key).all(axis=1)] for key in keys}


def fill(level: Group, points: Any, layout: str) -> None:
    """Write points chunk by chunk, two fragments each, with an attribute, in one batch."""
    shards = level.native_sharded_arrays((2, 2, 3), GRID) if layout == "sharded" else None
    if shards is not None:
        shards.__enter__()
    with level.batched_writes():
        create_vertices_array(level, dtype="float32")
        create_attribute_array(level, "intensity")
        create_attribute_array(level, "colour", "uint8", channel_names=["r", "g"])
        for chunk, rows in by_chunk(points).items():
            write_chunk_vertices(level, chunk, [rows[:1], rows[1:]])
            write_chunk_attributes(level, "intensity", chunk, [rows[:1, 0], rows[1:, 0]])
            write_chunk_attributes(level, "colour", chunk, [np.zeros((len(rows), 2), np.uint8)])
    if shards is not None:
        shards.__exit__(None, None, None)


def test_chunks_written_one_by_one_are_a_store(tmp_path: Path, layout: str) -> None:
    level, _ = shell(tmp_path / "a.zv", layout)
    points = positions()
    fill(level, points, layout)
    assert SHELL_KEY not in open_store(tmp_path / "a.zv").attrs
    read = read_points(tmp_path / "a.zv")
    order = np.lexsort(points.T)
    assert np.array_equal(read.positions[np.lexsort(read.positions.T)], points[order])
    assert np.array_equal(read.attributes["intensity"], read.positions[:, 0])
    assert read.channel_names == {"colour": ("r", "g")}
    box = read_points(tmp_path / "a.zv", bbox=([-60, -20, 0], [30, 90, 100]))
    inside = ((points >= [-60, -20, 0]) & (points < [30, 90, 100])).all(axis=1)
    assert len(box.positions) == inside.sum()
    assert read_level_metadata(level, 0).vertex_count == len(points)
    report = validate(tmp_path / "a.zv", level=3)
    assert report.is_valid, report.summary()
    if layout != "0.7":
        array = zarr.open_array(str(tmp_path / "a.zv" / "0" / "vertices"), mode="r")
        assert array.shards == ((2, 2, 3) if layout == "sharded" else None)
        first = next(iter(by_chunk(points)))
        assert array[...][tuple(np.array(first) + 2)] == by_chunk(points)[first].tobytes()


def test_a_batch_of_writes_is_one_gather(tmp_path: Path, layout: str) -> None:
    level, counted = shell(tmp_path / "a.zv", layout)
    points = positions()
    counted.reset()
    counted.put_calls = 0
    with level.batched_writes():
        create_vertices_array(level)
        for chunk, rows in by_chunk(points).items():
            write_chunk_vertices(level, chunk, [rows])
        assert counted.counts["put"] == 0
        assert counted.rounds == 0
        assert level.list_chunk_keys(VERTICES) == []
        counted.reset()
    assert counted.put_calls == 1
    assert counted.rounds <= 3
    assert len(level.list_chunk_keys(VERTICES)) == len(by_chunk(points))


def write_two(level: Group, inside: list[Any], outside: list[Any]) -> None:
    write_chunk_vertices(level, (0, 0, 0), inside)
    write_chunk_vertices(level, (9, 9, 9), outside)


def test_a_batch_that_fails_writes_nothing(tmp_path: Path) -> None:
    level, counted = shell(tmp_path / "a.zv")
    with pytest.raises(ShapeError), level.batched_writes():
        write_two(level, [np.zeros((1, 3))], [np.zeros(3)])
    with pytest.raises(ArgumentError, match=r"9\.9\.9.*set_bounds"), level.batched_writes():
        write_two(level, [np.zeros((1, 3))], [np.zeros((1, 3))])
    assert counted.counts["put"] == 0
    level.write_bytes(VERTICES, "0.0.0", b"0" * 12)
    assert level.list_chunk_keys(VERTICES) == ["0.0.0"]


def test_a_batch_of_reads_is_one_gather(tmp_path: Path, layout: str) -> None:
    level, counted = shell(tmp_path / "a.zv", layout)
    points = positions()
    fill(level, points, layout)
    keys = list_chunk_keys(level, VERTICES)
    assert keys == sorted(by_chunk(points))
    plan = [(name, keys) for name in (VERTICES, VERTEX_FRAGMENTS, "vertex_attributes/intensity", "missing")]
    counted.reset()
    block = level.batched_reads(plan)
    block.__enter__()
    assert counted.rounds == (3 if layout == "sharded" else 2)
    counted.reset()
    for chunk, rows in by_chunk(points).items():
        fragments = read_chunk_vertices(level, chunk, ndim=3)
        assert [len(fragment) for fragment in fragments if len(fragment)] == [n for n in (1, len(rows) - 1) if n]
        assert np.array_equal(np.concatenate(fragments), rows)
        values = read_chunk_attributes(level, "intensity", ".".join(map(str, chunk)))
        assert np.array_equal(np.concatenate(values), rows[:, 0])
    assert counted.rounds == 0
    assert np.concatenate(read_chunk_attributes(level, "colour", keys[0])).shape[1] == 2
    assert counted.rounds > 0
    with pytest.raises(StoreError, match="nested"):
        level.batched_reads(plan).__enter__()
    write_chunk_vertices(level, keys[0], [points[:5]])
    assert np.array_equal(read_chunk_vertices(level, keys[0], ndim=3)[0], points[:5])
    block.__exit__(None, None, None)


def test_blocks_do_not_nest(tmp_path: Path) -> None:
    level, _ = shell(tmp_path / "a.zv")
    with level.batched_writes():
        with pytest.raises(StoreError, match="nested"), level.batched_writes():
            pass
        with level.native_sharded_arrays((2, 2, 2), GRID), pytest.raises(StoreError, match="nested"):
            level.native_sharded_arrays((2, 2, 2), GRID).__enter__()
    with level.batched_writes(), level.batched_reads([]):
        pass


def test_single_chunks_change_in_place(tmp_path: Path, layout: str) -> None:
    level, _ = shell(tmp_path / "a.zv", layout)
    points = positions()
    fill(level, points, layout)
    chunks = by_chunk(points)
    before = {key: level.read_bytes(VERTICES, key) for key in chunks}
    changed, emptied, *_ = chunks
    level.write_bytes(VERTICES, changed, points[:7].tobytes())
    level.write_bytes(VERTICES, emptied, b"")
    expected = before | {changed: points[:7].tobytes(), emptied: b""}
    assert {key: level.read_bytes(VERTICES, key) for key in chunks} == expected
    reopened = open_store(tmp_path / "a.zv")["0"]
    assert {key: reopened.read_bytes(VERTICES, key) for key in chunks} == expected
    if layout != "0.7":
        named = [".".join(map(str, key)) for key in sorted(chunks) if key != emptied]
        assert reopened.read_array_attrs(VERTICES)["nonempty_chunks"] == sorted(named)
        assert reopened.list_chunk_keys(VERTICES) == named
        for key in chunks:
            level.write_bytes(VERTICES, key, b"")
        assert not list((tmp_path / "a.zv" / "0" / "vertices").rglob("c/*"))
    assert level.read_bytes(VERTICES, "1.1.1") == b"" or layout == "0.7"


@pytest.mark.parametrize("layout", ["0.9", "sharded"])
def test_arrays_without_a_list_of_chunks_get_one(tmp_path: Path, layout: str) -> None:
    level, _ = shell(tmp_path / "a.zv", layout)
    points = positions()
    fill(level, points, layout)
    group = level.zarr_group["vertices"]
    attributes = dict(group.attrs)
    listed = attributes.pop("nonempty_chunks")
    group.attrs.put(attributes)
    assert sorted(level.list_chunk_keys(VERTICES)) == listed
    level.write_bytes(VERTICES, listed[0], b"1" * 12)
    assert level.read_array_attrs(VERTICES)["nonempty_chunks"] == listed


def test_compression_of_a_batch(tmp_path: Path) -> None:
    level, _ = shell(tmp_path / "a.zv")
    payload = bytes(4000)
    for name, compressor in (("plain", "none"), ("default", None), ("blosc", "blosc:5")):
        with level.batched_writes(compressor):
            level.create_chunk_array(f"vertex_attributes/{name}", {"zv_array": "attribute", "dtype": "uint8"})
            level.write_bytes(f"vertex_attributes/{name}", "0.0.0", payload)
    with level.batched_writes(checksum=False):
        level.create_chunk_array("vertex_attributes/bare", {"zv_array": "attribute", "dtype": "uint8"})
        level.write_bytes("vertex_attributes/bare", "0.0.0", payload)
        level.write_array("of_the_block", np.arange(3))
    assert str(level.zarr_group["of_the_block"].metadata.to_dict()["codecs"]).count("crc32c") == 0
    codecs = {
        name: [codec["name"] for codec in zarr.open_array(str(path), mode="r").metadata.to_dict()["codecs"]]
        for path in (tmp_path / "a.zv" / "0" / "vertex_attributes").iterdir()
        if (name := path.name) != "zarr.json"
    }
    assert codecs == {
        "plain": ["vlen-bytes", "crc32c"],
        "default": ["vlen-bytes", "zstd", "crc32c"],
        "blosc": ["vlen-bytes", "blosc", "crc32c"],
        "bare": ["vlen-bytes", "zstd"],
    }
    assert all(level.read_bytes(f"vertex_attributes/{name}", (0, 0, 0)) == payload for name in codecs)


def test_arrays_that_hold_something_keep_their_type(tmp_path: Path) -> None:
    level, _ = shell(tmp_path / "a.zv")
    create_vertices_array(level, "float64")
    write_chunk_vertices(level, (0, 0, 0), [np.ones((2, 3))])
    assert read_chunk_vertices(level, (0, 0, 0))[0].dtype == np.float64
    create_vertices_array(level, "float64")
    with pytest.raises(ArgumentError, match="float64"):
        create_vertices_array(level, "float32")
    with pytest.raises(ArrayError, match="already"):
        create_vertices_array(level, "float64", exist_ok=False)
    with pytest.raises(ArgumentError, match="float64"):
        write_chunk_vertices(level, (0, 0, 0), [np.ones((2, 3))], dtype="float32")
    with pytest.raises(ArgumentError, match="float64"):
        read_chunk_vertices(level, (0, 0, 0), dtype=np.float32)
    assert np.array_equal(read_chunk_vertices(level, (0, 0, 0))[0], np.ones((2, 3)))


def test_wrong_chunks_and_shapes_are_refused(tmp_path: Path) -> None:
    level, _ = shell(tmp_path / "a.zv")
    create_attribute_array(level, "a", "int16", ncols=2)
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        write_chunk_attributes(level, "a", (0, 0, 0), [np.zeros(3)])
    with pytest.raises(ShapeError):
        write_chunk_vertices(level, (0, 0, 0), [np.zeros(3)])
    with pytest.raises(ArrayError, match="make it first"):
        write_chunk_attributes(level, "b", (0, 0, 0), [np.zeros(3)])
    with pytest.raises(ArgumentError, match="components"):
        level.write_bytes(VERTICES, "0.0", b"1")
    with pytest.raises(ArgumentError, match="chunk key"):
        level.read_bytes(VERTICES, "a.b.c")
    with pytest.raises(ArrayError, match="no array"):
        level.read_bytes("nothing", "0.0.0")
    with pytest.raises(ArrayError, match="no array"):
        level.list_chunk_keys("nothing")
    with pytest.raises(ArgumentError):
        create_attribute_array(level, "../x")
    with pytest.raises(ArgumentError, match="columns"):
        create_attribute_array(level, "c", channel_names=["a"], ncols=2)
    with pytest.raises(ArgumentError):
        create_vertices_array(level, "int32")
    level.write_bytes(VERTICES, "0.0.0", b"1234567")
    with pytest.raises(ArrayError, match="multiple of 12"):
        read_chunk_vertices(level, (0, 0, 0))
    level.write_bytes(VERTICES, "0.0.0", b"1" * 12)
    level.write_bytes(VERTEX_FRAGMENTS, "1.0.0", b"")
    write_chunk_vertices(level, "1.0.0", [np.zeros((4, 3))])
    level.write_bytes(VERTICES, "1.0.0", b"1" * 12)
    with pytest.raises(ArrayError, match="beyond"):
        read_chunk_vertices(level, "1.0.0")


def test_sharded_arrays_are_allocated(tmp_path: Path) -> None:
    level, _ = shell(tmp_path / "a.zv")
    level.create_sharded_chunk_array("links/0", GRID, shard_shape=(2, 2, 2), attributes={"zv_array": "links"})
    attributes = level.read_array_attrs("links/0")
    assert attributes["zv_array"] == "links"
    assert attributes["chunk_grid_origin"] == [-2, -2, -2]
    assert list(level["links"].children()) == ["0"]
    level.write_bytes("links/0", "-2.-2.-2", b"abc")
    level.write_bytes("links/0", "2.2.2", b"xyz")
    assert level.list_chunk_keys("links/0") == ["-2.-2.-2", "2.2.2"]
    with pytest.raises(StoreError, match="already"):
        level.create_sharded_chunk_array("links/0", GRID)
    level.create_sharded_chunk_array("other", (3, 3), attributes={"chunk_grid_origin": [5, 5]})
    level.write_bytes("other", "7.5", b"1")
    assert level.read_bytes("other", (7, 5)) == b"1"
    with pytest.raises(ArgumentError):
        level.create_sharded_chunk_array("x", (0, 1))
    with pytest.raises(ArgumentError, match="equally long"):
        level.create_sharded_chunk_array("x", (4, 4), shard_shape=(2,))


def test_revision_07_has_no_shards(tmp_path: Path) -> None:
    level, _ = shell(tmp_path / "a.zv", "0.7")
    with pytest.raises(UnsupportedFeatureError, match="shards"):
        level.create_sharded_chunk_array("links/0", GRID)
    with pytest.raises(UnsupportedFeatureError, match="shards"), level.native_sharded_arrays((2, 2, 2), GRID):
        create_attribute_array(level, "a")


def test_navigation(tmp_path: Path) -> None:
    write_points(tmp_path / "a.zv", positions(), attributes={"a": np.arange(400)}, object_ids=np.arange(400) % 4)
    root = open_store(tmp_path / "a.zv", "r+")
    assert list(root) == root.children() == ["0"]
    level = root["0"]
    assert "vertices" in level.children()
    assert "vertices" not in list(level)
    assert {"object_index", "vertex_attributes"} <= set(level)
    assert "vertices" in level
    assert "vertex_attributes/a" in level
    assert "nothing" not in level
    assert 4 not in level  # type: ignore[comparison-overlap]
    assert level["vertex_attributes"].path == "0/vertex_attributes"
    assert root["0/vertex_attributes"].name == "vertex_attributes"
    with pytest.raises(UnknownNameError, match="array"):
        level["vertices"]
    with pytest.raises(KeyError, match="nothing"):
        level["nothing"]
    for name in ("../x", "", "/"):
        with pytest.raises(ArgumentError):
            level.create_group(name)
    made = level.create_group("a/b")
    made.attrs["x"] = [1]
    assert level.create_group("a/b").attrs.to_dict() == {"x": [1]}
    with pytest.raises(StoreError, match="array"):
        level.create_group("vertices/x")
    assert root.zarr_group["0/a/b"].attrs["x"] == [1]
    assert "a.zv" in repr(root)
    backend = root.backend
    assert (backend.name, backend.scheme, backend.url) == ("local", "", str(tmp_path / "a.zv"))


def test_revision_07_arrays_are_arrays(tmp_path: Path) -> None:
    write_points(tmp_path / "a.zv", positions(), attributes={"a": np.arange(400)}, format_version="0.7")
    level = open_store(tmp_path / "a.zv")["0"]
    assert level.array_exists("vertices")
    assert not level.standalone_array_exists("vertices")
    assert level.read_array_attrs("vertices") == {}
    assert level.read_array_meta("vertices")["zv_array"] == "vertices"
    assert not level.array_exists("vertex_attributes")
    assert not level.array_exists("nothing")


def test_attributes(tmp_path: Path) -> None:
    root = create_store(tmp_path / "a.zv")
    attributes = root.attrs
    attributes["a"] = 1
    attributes.update({"b": [2]}, c="é")
    del attributes["a"]
    assert {key: attributes[key] for key in attributes if key in "abc"} == {"b": [2], "c": "é"}
    assert len(attributes) == len(attributes.to_dict()) == len(root.zarr_group.attrs)
    assert attributes.get("a") is None
    with pytest.raises(KeyError):
        attributes["a"]
    with pytest.raises(MetadataError):
        attributes["a"] = float("nan")
    assert "'c': 'é'" in repr(attributes)
    assert open_store(tmp_path / "a.zv").attrs["b"] == [2]


def test_ordinary_arrays(tmp_path: Path) -> None:
    root = create_store(tmp_path / "a.zv")
    values = np.array([[1.5, 2.5], [np.nan, 4.0], [5.0, 6.0]])
    root.write_array("t/x", values, chunks=(2, 2), fill_value=np.nan, attributes={"unit": "m"})
    array = root.zarr_group["t/x"]
    assert np.array_equal(array[:], values, equal_nan=True)
    assert array.chunks == (2, 2)
    assert [codec.to_dict()["name"] for codec in array.metadata.codecs] == ["bytes", "zstd", "crc32c"]
    root.write_array("t/bare", values, checksum=False)
    assert [codec.to_dict()["name"] for codec in root.zarr_group["t/bare"].metadata.codecs] == ["bytes", "zstd"]
    assert np.isnan(root.read_array_fill_value("t/x"))
    assert root.read_array_attrs("t/x") == {"unit": "m"}
    assert root.standalone_array_exists("t/x")
    assert root.array_exists("t/x")
    root.write_array("t/x", np.arange(3, dtype=np.int16), fill_value=-1, compressors=[])
    assert root.zarr_group["t/x"][:].tolist() == [0, 1, 2]
    assert root.read_array_fill_value("t/x") == -1
    assert sorted(path.name for path in (tmp_path / "a.zv" / "t" / "x" / "c").rglob("*")) == ["0"]
    root.write_array("t/inf", [1.0], fill_value=-np.inf)
    assert root.read_array_fill_value("t/inf") == -np.inf
    root.write_array("t/empty", np.zeros((0, 3)))
    assert root.zarr_group["t/empty"].shape == (0, 3)
    for missing, found in (("nothing", "nothing"), ("t", "group")):
        with pytest.raises(StoreError, match=found):
            root.read_array_fill_value(missing)
        assert root.read_array_attrs(missing) == {}
        assert not root.standalone_array_exists(missing)
    with pytest.raises(ArgumentError):
        root.write_array("t/x", np.array([object()]))
    with pytest.raises(StoreError, match="array"):
        root.write_array("t/x/y", [1])
    for group in ("0", "t"):
        with pytest.raises(StoreError, match="group"):
            root.write_array(group, [1])


def test_arrays_of_byte_strings(tmp_path: Path) -> None:
    root = create_store(tmp_path / "a.zv")
    blobs = [b"", b"one", b"three" * 100, b"2"]
    root.write_vlen_array("object_index/manifests", blobs, chunks=3, attributes={"a": 1})
    array = root.zarr_group["object_index/manifests"]
    assert list(array[:]) == blobs
    assert array.chunks == (3,)
    assert root.read_array_attrs("object_index/manifests") == {"a": 1}
    root.write_vlen_array("nothing", [])
    assert "nothing" not in root


def test_groups_of_zarr_and_places_without_a_store(tmp_path: Path) -> None:
    made = zarr.create_group(zarr.storage.MemoryStore())
    group = Group(made)
    group.write_bytes("payloads", "3.-4", b"abc")
    assert group.read_bytes("payloads", (3, -4)) == b"abc"
    assert group.list_chunk_keys("payloads") == ["3.-4"]
    with group.native_sharded_arrays((2, 2), (4, 4)), group.batched_writes():
        group.write_array_meta("sharded", {"zv_array": "vertices"})
        group.write_bytes("sharded", "3.3", b"xyz")
    assert made["sharded"][...][3, 3] == b"xyz"
    assert group.read_array_meta("sharded")["zv_array"] == "vertices"
    assert group.backend.name == "zarr"
    with pytest.raises(StoreError, match="not a Zarr Vectors store"):
        _ = group.reader
    write_points(tmp_path / "a.zv", positions())
    level = Group(zarr.open_group(str(tmp_path / "a.zv"), mode="r")["0"])  # type: ignore[arg-type]
    assert level.path == "0"
    assert len(read_points(level).positions) == 400


def test_groups_on_a_zarr_store(tmp_path: Path) -> None:
    store = zarr.storage.MemoryStore()
    root = create_store(store, bounds=BOUNDS, chunk_shape=CHUNK)
    write_points(root, positions())
    assert len(read_points(open_store(store)).positions) == 400
    assert len(open_store(store)["0"].list_chunk_keys(VERTICES)) == len(by_chunk(positions()))
