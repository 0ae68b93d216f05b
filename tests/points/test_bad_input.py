"""What cannot be written or read is refused with what was asked, what was found and what to do; nothing is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.points.clouds import REVISIONS, make_cloud, tree
from zarr_vectors.exceptions import (
    ArgumentError,
    ArrayError,
    MetadataError,
    OutOfBoundsError,
    ShapeError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
    UnknownNameError,
    UnsupportedFeatureError,
    ZarrVectorsError,
)
from zarr_vectors.types.points import read_points, write_points

N = 40


@pytest.fixture(params=["nothing", "a store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A path, empty or with a store; afterwards everything there must be as it was."""
    store = tmp_path / "cloud.zv"
    if request.param == "a store":
        write_points(store, make_cloud(20), attributes={"old": np.arange(20)})
    before = tree(tmp_path)
    yield store
    assert tree(tmp_path) == before


def holes(value: float) -> Any:
    positions = make_cloud(N)
    positions[17, 1] = value
    return positions


IDS = np.arange(N) % 4
REFUSED: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "bins that do not divide chunks": (ArgumentError, r"200.*60", {"chunk_shape": 200.0, "bin_shape": 60.0}),
    "bins larger than chunks": (ArgumentError, r"10.*20", {"chunk_shape": 10.0, "bin_shape": 20.0}),
    "chunk of zero": (ArgumentError, r"chunk_shape.*positive", {"chunk_shape": (10.0, 0.0, 10.0)}),
    "chunk of NaN": (ArgumentError, r"chunk_shape.*finite", {"chunk_shape": float("nan")}),
    "chunk of two axes": (ArgumentError, r"chunk_shape.*3 numbers", {"chunk_shape": (10.0, 10.0)}),
    "short attribute": (ShapeError, rf"'short' has {N - 1} rows.*{N}", {"attributes": {"short": np.zeros(N - 1)}}),
    "scalar attribute": (ShapeError, r"'flat'", {"attributes": {"flat": np.zeros(())}}),
    "deep attribute": (ShapeError, r"'deep'.*\(40, 2, 2\)", {"attributes": {"deep": np.zeros((N, 2, 2))}}),
    "complex attribute": (ArgumentError, r"'wave'.*complex", {"attributes": {"wave": np.zeros(N, complex)}}),
    "objects as attribute": (ArgumentError, r"'things'", {"attributes": {"things": np.array([{}] * N)}}),
    "attributes as array": (ArgumentError, r"attributes: expected a mapping", {"attributes": np.zeros(N)}),
    "two names of attributes": (ArgumentError, r"attributes.*vertex_attributes", {
        "attributes": {"a": np.zeros(N)}, "vertex_attributes": {"b": np.zeros(N)}}),
    "one dimension of positions": (ShapeError, r"\(N, D\).*\(40,\)", {"positions": np.zeros(N)}),
    "three dimensions of positions": (ShapeError, r"\(N, D\)", {"positions": np.zeros((N, 3, 1))}),
    "no columns": (ShapeError, r"\(N, D\)", {"positions": np.zeros((N, 0))}),
    "text as positions": (ArgumentError, r"expected numbers", {"positions": np.full((N, 3), "a")}),
    "NaN": (ArgumentError, r"row 17.*nan.*finite", {"positions": holes(np.nan)}),
    "infinity": (ArgumentError, r"row 17.*inf.*finite", {"positions": holes(-np.inf)}),
    "beyond float32": (ArgumentError, r"float32.*float64", {"positions": np.full((N, 3), 1e300)}),
    "integers beyond float32": (ArgumentError, r"row 0.*exactly.*float64", {
        "positions": np.full((N, 3), 2**24 + 1)}),
    "outside the bounds": (OutOfBoundsError, r"of 40 lie outside.*row \d+.*out_of_bounds='expand'", {
        "bounds": ([0] * 3, [50] * 3)}),
    "bounds upside down": (ArgumentError, r"bounds.*lower not above upper", {"bounds": ([9] * 3, [0] * 3)}),
    "bounds of two axes": (ArgumentError, r"bounds.*3 numbers", {"bounds": ([0, 0], [9, 9])}),
    "bounds of one corner": (ArgumentError, r"bounds.*pair", {"bounds": 7}),
    "integers as precision": (ArgumentError, r"dtype.*float16, float32 or float64", {"dtype": "int32"}),
    "unknown precision": (ArgumentError, r"dtype", {"dtype": "float12"}),
    "unknown mode": (ArgumentError, r"mode.*w, w-, a.*'r\+'", {"mode": "r+"}),
    "unknown policy": (ArgumentError, r"out_of_bounds.*'clip'", {"out_of_bounds": "clip"}),
    "unknown revision": (ArgumentError, r"format_version.*0\.7, 0\.9.*1\.7", {"format_version": "1.7"}),
    "unknown compressor": (ArgumentError, r"compressor.*'rar'", {"compressor": "rar"}),
    "shards in 0.7": (ArgumentError, r"shard_shape.*0\.7", {"format_version": "0.7", "shard_shape": 2}),
    "shards of two axes": (ArgumentError, r"shard_shape.*3 whole numbers", {"shard_shape": (2, 2)}),
    "shards of zero": (ArgumentError, r"shard_shape", {"shard_shape": 0}),
    "short object ids": (ShapeError, r"object_ids.*40 ids", {"object_ids": IDS[:-1]}),
    "broken object ids": (ArgumentError, r"object_ids.*whole numbers", {"object_ids": IDS + 0.5}),
    "object ids beyond int64": (ArgumentError, rf"object_ids: {2**63 + 3}.*int64", {
        "object_ids": np.full(N, 2**63 + 3, np.uint64)}),
    "attributes of no objects": (ArgumentError, r"object_attributes.*object_ids", {
        "object_attributes": {"v": np.zeros(4)}}),
    "short object attribute": (ShapeError, r"'v' has 3 rows.*4", {
        "object_ids": IDS, "object_attributes": {"v": np.zeros(3)}}),
    "groups of no objects": (ArgumentError, r"groups.*object_ids", {"groups": {0: [1]}}),
    "group of an unknown object": (ArgumentError, r"group 1.*object 99", {
        "object_ids": IDS, "groups": {0: [1], 1: [99]}}),
    "groups by name and number": (ArgumentError, r"groups.*numbers.*names", {
        "object_ids": IDS, "groups": {0: [1], "b": [2]}}),
    "attributes of no groups": (ArgumentError, r"group_attributes", {"group_attributes": {"g": [1]}}),
    "short group attribute": (ShapeError, r"'g' has 1 rows.*2", {
        "object_ids": IDS, "groups": {0: [1], 1: [2]}, "group_attributes": {"g": np.zeros(1)}}),
    "axes of another number": (ArgumentError, r"axes", {"axes": ["x", "y"]}),
    "axes twice": (ArgumentError, r"axes", {"axes": ["x", "x", "y"]}),
    "two coordinate systems": (ArgumentError, r"'RAS'.*'LPS'", {
        "coordinate_system": "RAS", "crs": {"name": "LPS"}}),
    "names that differ in case": (ArgumentError, r"'A'.*'a'|'a'.*'A'", {
        "attributes": {"a": np.zeros(N), "A": np.zeros(N)}}),
    "channel names too few": (ShapeError, r"'c'.*3 channels.*2", {
        "attributes": {"c": np.zeros((N, 3))}, "attribute_specs": {"c": {"channel_names": ("r", "g")}}}),
    "original index twice": (ArgumentError, r"keep_order.*'original_index'", {
        "keep_order": True, "attributes": {"original_index": np.arange(N)}}),
    "progress that cannot be called": (ArgumentError, r"progress", {"progress": 3}),
    "fragment rows": (ShapeError, r"fragment_attributes.*'f'", {"fragment_attributes": {"f": np.zeros(3)}}),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_on_writing(place: Path, case: str) -> None:
    kind, message, arguments = REFUSED[case]
    arguments = {"positions": make_cloud(N), **arguments}
    with pytest.raises(kind, match=f"(?s){message}"):
        write_points(place, arguments.pop("positions"), **arguments)


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", ".", "", "a\\b", "zarr.json", "con", ".hidden", "a\0b"])
@pytest.mark.parametrize("argument", ["attributes", "object_attributes", "group_attributes", "fragment_attributes"])
def test_names_that_would_leave_their_folder(place: Path, name: str, argument: str) -> None:
    rows = {"attributes": N, "object_attributes": 4, "group_attributes": 1, "fragment_attributes": 4}[argument]
    with pytest.raises(ArgumentError, match=argument):
        write_points(
            place,
            make_cloud(N),
            chunk_shape=200,
            object_ids=IDS,
            groups={0: [1]},
            **{argument: {name: np.zeros(rows)}},
        )


def test_a_place_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    zarr_group = tmp_path / "images"
    zarr_group.mkdir()
    (zarr_group / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    before = tree(tmp_path)
    for name, message in (
        ("thesis", "chapter.txt"),
        ("images", "not a Zarr Vectors store"),
        ("file", "a file is there"),
    ):
        for mode in ("w", "w-", "a"):
            with pytest.raises(StoreError):
                write_points(tmp_path / name, make_cloud(N), mode=mode)
        with pytest.raises(StoreError, match=message):
            read_points(tmp_path / name)
    assert tree(tmp_path) == before


def test_a_store_is_kept_by_mode_x(tmp_path: Path) -> None:
    write_points(tmp_path / "cloud.zv", make_cloud(N))
    before = tree(tmp_path)
    with pytest.raises(StoreExistsError, match="w-"):
        write_points(tmp_path / "cloud.zv", make_cloud(N), mode="w-")
    assert tree(tmp_path) == before


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match=r"nowhere\.zv"):
        read_points(tmp_path / "nowhere.zv")
    assert issubclass(StoreNotFoundError, FileNotFoundError)
    assert tree(tmp_path) == {}


@pytest.fixture(params=REVISIONS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "cloud.zv"
    write_points(
        path,
        make_cloud(N),
        chunk_shape=50,
        attributes={"a": np.arange(N), "c": np.zeros((N, 2))},
        object_ids=IDS,
        groups={"even": [0, 2]},
        format_version=request.param,
        shard_shape=None,
        compressor="zstd",
    )
    return path


MISREAD: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "upside down": (ArgumentError, r"bbox.*lower must be below upper.*axis 1", {"bbox": ([0, 5, 0], [9, 5, 9])}),
    "short": (ArgumentError, r"bbox.*3 numbers.*\(2,\)", {"bbox": ([0, 0], [9, 9])}),
    "one corner": (ArgumentError, r"bbox.*pair", {"bbox": [1]}),
    "NaN": (ArgumentError, r"bbox.*NaN", {"bbox": ([0, 0, np.nan], [9, 9, 9])}),
    "text": (ArgumentError, r"bbox", {"bbox": ("abc", "def")}),
    "attribute": (UnknownNameError, r"'nope'.*\['a', 'c'\]", {"attributes": ["a", "nope"]}),
    "attribute number": (ArgumentError, r"attributes.*names", {"attributes": [3]}),
    "filter": (UnknownNameError, r"'nope'.*\['a', 'c'\]", {"attribute_filter": {"nope": 3}}),
    "filter of channels": (ArgumentError, r"attribute_filter.*'c'.*2 channels", {"attribute_filter": {"c": 1}}),
    "filter of three": (ArgumentError, r"attribute_filter.*tuple", {"attribute_filter": {"a": (1, 2, 3)}}),
    "level": (UnknownNameError, r"level.*4.*\[0\]", {"level": 4}),
    "negative level": (UnknownNameError, r"level", {"level": -1}),
    "object": (UnknownNameError, r"no object 77", {"object_ids": [1, 77]}),
    "object text": (ArgumentError, r"object_ids.*whole numbers", {"object_ids": ["a"]}),
    "group": (UnknownNameError, r"group.*5", {"group_ids": 5}),
    "group name": (UnknownNameError, r"'odd'.*'even'", {"group_ids": ["odd"]}),
    "chunks": (ArgumentError, r"chunks.*3 whole numbers", {"chunks": [(0, 0)]}),
    "order": (UnknownNameError, r"original_index", {"restore_order": True}),
}  # fmt: skip


@pytest.mark.parametrize("case", MISREAD)
def test_refused_on_reading(store: Path, case: str) -> None:
    kind, message, arguments = MISREAD[case]
    before = tree(store)
    with pytest.raises(kind, match=f"(?s){message}"):
        read_points(store, **arguments)
    assert tree(store) == before


def cell_of(store: Path, array: str) -> tuple[Path, str]:
    """Return the file and the key of one chunk of an array."""
    folder = store / "0" / array
    keyed = folder / "0.1.1" / "c" / "0"
    return (keyed if keyed.exists() else folder / "c" / "0" / "1" / "1"), "0.1.1"


@pytest.mark.parametrize("array", ["vertices", "vertex_fragments", "vertex_attributes/a"])
@pytest.mark.parametrize("damage", ["truncated", "overwritten", "emptied", "of another length"])
def test_damaged_cells_are_named(store: Path, array: str, damage: str) -> None:
    file, key = cell_of(store, array)
    data = file.read_bytes()
    other, _ = cell_of(store, "vertices" if array != "vertices" else "vertex_attributes/a")
    damaged = {
        "truncated": data[: len(data) // 2],
        "overwritten": data[:4] + bytes(len(data) - 4),
        "emptied": b"",
        "of another length": other.read_bytes(),
    }[damage]
    file.write_bytes(damaged)
    with pytest.raises(ArrayError, match=f"(?s){array}.*{key.replace('.', '[.]')}"):
        read_points(store)
    with pytest.raises(ArrayError, match=f"(?s){array}.*{key.replace('.', '[.]')}"):
        read_points(store, bbox=([0, 50, 50], [50, 100, 100]))
    read_points(store, bbox=([50, 0, 0], [100, 50, 50]), attributes=[])


def test_damaged_shards_are_named(tmp_path: Path) -> None:
    path = tmp_path / "cloud.zv"
    write_points(path, make_cloud(N), chunk_shape=50)
    shard = path / "0" / "vertices" / "c" / "0" / "0" / "0"
    data = shard.read_bytes()
    shard.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    with pytest.raises(ArrayError, match="vertices"):
        read_points(path)
    shard.write_bytes(data[:20])
    with pytest.raises(ArrayError, match="vertices"):
        read_points(path)
    shard.unlink()
    with pytest.raises(ArrayError, match="vertices"):
        read_points(path)


def edit(file: Path, change: Any) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_revisions_of_the_future(store: Path) -> None:
    edit(store / "zarr.json", lambda d: d["attributes"]["zarr_vectors"].update(zv_version="3.0.0"))
    before = tree(store)
    with pytest.raises(UnsupportedFeatureError, match=r"3\.0\.0"):
        read_points(store)
    with pytest.raises(ZarrVectorsError, match=r"3\.0\.0"):
        write_points(store, make_cloud(N), mode="a")
    assert tree(store) == before


def test_metadata_that_is_no_metadata(store: Path) -> None:
    (store / "zarr.json").write_text("{")
    with pytest.raises(MetadataError, match=r"zarr\.json.*not valid JSON"):
        read_points(store)
    (store / "zarr.json").write_text("[]")
    with pytest.raises(MetadataError, match=r"zarr\.json"):
        read_points(store)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("chunk_shape", [0, 1, 1], "chunk and bin shapes must be positive"),
        ("chunk_shape", "big", "chunk_shape.*'big'"),
        ("chunk_shape", [10, 10], "chunk_shape"),
        ("base_bin_shape", 7, "base_bin_shape.*7"),
        ("bounds", [[0, 0, 0]], "bounds.*two corners"),
    ],
)
def test_root_metadata_that_cannot_be(store: Path, key: str, value: Any, message: str) -> None:
    edit(store / "zarr.json", lambda d: d["attributes"]["zarr_vectors"].update({key: value}))
    with pytest.raises(MetadataError, match=message):
        read_points(store)


@pytest.mark.parametrize("compressor", ["zstd", None])
def test_a_cell_that_is_gone(tmp_path: Path, compressor: str | None) -> None:
    """A copy that lost a file must not look like a smaller cloud."""
    path = tmp_path / "cloud.zv"
    write_points(path, make_cloud(N), chunk_shape=50, shard_shape=None, compressor=compressor)
    (path / "0" / "vertices" / "c" / "0" / "1" / "1").unlink()
    for box in (None, ([0, 50, 50], [50, 100, 100]), ([0, 60, 60], [30, 90, 90])):
        with pytest.raises(ArrayError, match=r"vertices: chunk 0\.1\.1"):
            read_points(path, bbox=box)
