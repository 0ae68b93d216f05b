"""What the low-level functions say of arguments that they cannot take; nothing is written then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.servers import http_server
from zarr_vectors.core.group import Group
from zarr_vectors.core.store import consolidate_metadata, create_store, open_store
from zarr_vectors.exceptions import ArgumentError, MetadataError, ReadOnlyStoreError, StoreError, ZarrVectorsError
from zarr_vectors.types.points import read_points, write_points

pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")


@pytest.fixture
def root(tmp_path: Path) -> Group:
    return create_store(tmp_path / "a.zv")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("crs", "EPSG:1"),
        ("crs", {1: 2}),
        ("crs", {"a": float("nan")}),
        ("crs", {"a": object()}),
        ("chunk_shape", 0),
        ("chunk_shape", "abc"),
        ("chunk_shape", ("a", "b", "c")),
        ("base_bin_shape", (0, 1, 1)),
        ("cross_level_depth", -2),
        ("cross_level_depth", 1.5),
        ("cross_level_depth", "1"),
        ("reduction_factor", 2.5),
        ("reduction_factor", 1),
        ("ndim", 2.5),
        ("ndim", "3"),
        ("ndim", True),
        ("ndim", 0),
        ("bounds", 5),
        ("bounds", ([0] * 3,)),
        ("bounds", ("abc", "def")),
        ("bounds", ([0, 0], [float("inf"), 1])),
        ("bounds", ([0, 0], [10**400, 1])),
        ("bounds", ([1, 0], [0, 1])),
        ("axes", 5),
        ("geometry_types", "point_cloud"),
        ("geometry_types", 5),
        ("format_capabilities", [[1]]),
        ("vertex_dtype", None),
    ],
)
def test_arguments_of_a_new_store_are_named(tmp_path: Path, argument: str, value: Any) -> None:
    with pytest.raises((MetadataError, ArgumentError), match=f"^{argument}"):
        create_store(tmp_path / "a.zv", **{argument: value})
    assert list(tmp_path.iterdir()) == []


def test_a_number_is_a_shape_of_every_axis(tmp_path: Path) -> None:
    root = create_store(tmp_path / "a.zv", ndim=np.int64(2), chunk_shape=64, base_bin_shape=16.0, cross_level_depth=-1)
    metadata = root.reader.root
    assert (metadata.chunk_shape, metadata.base_bin_shape) == ((64.0, 64.0), (16.0, 16.0))
    assert metadata.cross_level_depth == -1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.write_array("a", np.zeros(3, "u1"), fill_value=300), "fill_value: 300 is no uint8"),
        (lambda g: g.write_array("a", np.zeros(3, "i4"), fill_value=1.5), "fill_value: 1.5 is no int32"),
        (lambda g: g.write_array("a", np.zeros(3, "i4"), fill_value=np.nan), "fill_value: nan"),
        (lambda g: g.write_array("a", np.zeros(3, "f2"), fill_value=1e9), "fill_value: .* float16"),
        (lambda g: g.write_array("a", np.zeros(3, "f8"), fill_value=1j), "fill_value: 1j is no float64"),
        (lambda g: g.write_array("a", np.zeros(3, "i8"), fill_value=10**30), "fill_value"),
        (lambda g: g.write_array("a", [1.0], fill_value="x"), "'a'.*'x'"),
        (lambda g: g.write_array("a", [[1], [2, 3]]), "data of a: .*equal lengths"),
        (lambda g: g.write_array("a", object()), "data of a: expected numbers"),
        (lambda g: g.write_array("a", [1.0], chunks=5), "chunks: .*1 in all, got 5"),
        (lambda g: g.write_array("a", [1.0], chunks=(0,)), "chunks"),
        (lambda g: g.write_array("a", [1.0], chunks=(1.5,)), "chunks"),
        (lambda g: g.write_array("a", [1.0], chunks=(1, 1)), "chunks"),
        (lambda g: g.write_array("a", [1.0], attributes=5), "attributes"),
        (lambda g: g.write_array("a", [1.0], attributes={1: 2}), "attributes: expected strings as keys, got 1"),
        (lambda g: g.write_array("a", [1.0], attributes={"x": object()}), "attributes: .*JSON"),
        (lambda g: g.write_vlen_array("a", [b"1", "2"]), "blobs: .* got str '2' at 1"),
        (lambda g: g.write_vlen_array("a", b"abc"), "blobs: expected a sequence"),
        (lambda g: g.write_vlen_array("a", 5), "blobs"),
        (lambda g: g.write_vlen_array("a", [None]), "blobs"),
        (lambda g: g.write_vlen_array("a", [b"1"], chunks=0), "chunks: expected a whole number from 1, got 0"),
        (lambda g: g.write_vlen_array("a", [b"1"], chunks=-3), "chunks"),
        (lambda g: g.write_vlen_array("a", [b"1"], chunks=1.5), "chunks"),
        (lambda g: g.write_vlen_array("a", [], chunks=0), "chunks"),
        (lambda g: g.write_vlen_array("a", [b"1"], attributes={"x": {1}}), "attributes"),
        (lambda g: g.create_group(".zv-journal/x"), r"name: '\.zv-journal/x'.*locks and journals"),
        (lambda g: g.create_group(".zv-lock"), "name"),
        (lambda g: g.create_group("b/zarr.json"), "name: .*holds metadata"),
        (lambda g: g.create_group("b\nc"), "name: .*control character"),
        (lambda g: g.write_array("zarr.json", [1.0]), "name"),
        (lambda g: g.write_array_meta("a", 5), "meta"),
        (lambda g: g.create_sharded_chunk_array("a", 5), "grid_shape"),
        (lambda g: g.create_sharded_chunk_array("a", (2.5, 2, 2)), "grid_shape"),
        (lambda g: g.create_sharded_chunk_array("a", (2, 2, 2), shard_shape="ab"), "shard_shape"),
        (lambda g: g.create_chunk_array("a", 5), "attributes"),
        (lambda g: g.attrs.put(5), "attributes"),
        (lambda g: g.attrs.update({5: 1}), "attributes: expected strings as keys, got 5"),
        (lambda g: g.batched_reads(5).__enter__(), "plan"),
        (lambda g: g.batched_reads(["abc"]).__enter__(), "plan"),
        (lambda g: g.batched_reads([("0/vertices", "0.0.0")]).__enter__(), "plan"),
        (lambda g: type(g)(5), "zarr_group"),
    ],
)
def test_arguments_of_a_group_are_named(
    tmp_path: Path, root: Group, call: Callable[[Group], Any], message: str
) -> None:
    before = files(tmp_path)
    with pytest.raises(ArgumentError, match=message):
        call(root)
    assert files(tmp_path) == before


def test_names_that_no_node_can_have_are_not_there(root: Group) -> None:
    for name in ("..", "../x", "a\\b", "a\nb", ".zv-journal", "zarr.json", 5):
        assert name not in root


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("c8", complex(np.nan, 0)),
        ("c16", 1 + 2j),
        ("c16", complex(-np.inf, 5)),
        ("f4", 0.1),
        ("f8", -np.inf),
        ("u1", 255),
        ("i2", np.float64(7)),
        ("?", True),
    ],
)
def test_fill_values_come_back(root: Group, dtype: str, fill: Any) -> None:
    root.write_array("a", np.zeros(3, dtype), fill_value=fill)
    read = root.read_array_fill_value("a")
    assert isinstance(read, complex if dtype.startswith("c") else (int, float, bool))
    assert np.array_equal(np.array(read, dtype), np.array(fill, dtype), equal_nan=True)


def test_fill_values_in_hexadecimal_are_numbers(root: Group) -> None:
    for kind, stated, number in (("float32", "0x3fc00000", 1.5), ("float64", "0xfff0000000000000", -np.inf)):
        document = {"zarr_format": 3, "node_type": "array", "data_type": kind, "fill_value": stated}
        root.storage.put_many([("a/zarr.json", str(document).replace("'", '"').encode())])
        assert root.read_array_fill_value("a") == number


def test_an_empty_list_of_byte_strings_removes_the_array(tmp_path: Path, root: Group) -> None:
    root.write_vlen_array("a", [b"1", b"22"])
    reading = open_store(tmp_path / "a.zv")
    for call in (lambda: reading.write_vlen_array("a", []), lambda: reading.write_array("a", [1.0])):
        with pytest.raises(ReadOnlyStoreError):
            call()
    assert root.standalone_array_exists("a")
    with pytest.raises(StoreError, match="group"):
        root.write_vlen_array("0", [])
    root.write_vlen_array("a", [])
    assert not root.array_exists("a")
    assert not (tmp_path / "a.zv" / "a").exists()


def test_pieces_of_memory_are_byte_strings(root: Group) -> None:
    rows = np.arange(12, dtype=np.uint8).reshape(4, 3)
    root.write_vlen_array("a", (part for part in (rows[0], rows[:, 1], bytearray(b"x"), b"")), chunks=np.int64(2))
    read = zarr.open_array(root.storage.zarr_store(), path="a", mode="r")[...]
    assert [bytes(item) for item in read] == [bytes([0, 1, 2]), bytes([1, 4, 7, 10]), b"x", b""]


def test_a_file_is_not_replaced_by_a_store(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    for call in (
        lambda: create_store(path),
        lambda: create_store(path / "below"),
        lambda: create_store(path / "far" / "below"),
        lambda: write_points(path, np.zeros((1, 3)), mode="w"),
        lambda: create_store(tmp_path / ("x" * 300)),
        lambda: open_store("x" * 5000),
    ):
        with pytest.raises((StoreError, ArgumentError), match=r"a file is there|Not a directory|more than 255 bytes"):
            call()
    assert files(tmp_path) == {str(path): b"mine"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes"]


def test_hosts_that_do_not_answer_are_named_with_their_scheme() -> None:
    with pytest.raises(StoreError, match=r"ftp://host\.invalid/y.*ftp://, through fsspec.*s3://"):
        open_store("ftp://host.invalid/y")


def test_over_http_stores_are_only_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zv"
    write_points(path, np.ones((5, 3)), format_version="0.7")
    with http_server(tmp_path) as url:
        for place in (f"{url}/a.zv", f"{url}/new.zv", "http://host.invalid/a.zv"):
            for mode in ("w", "w-", "a"):
                with pytest.raises(ReadOnlyStoreError, match="over HTTP stores can only be read") as caught:
                    write_points(place, np.zeros((1, 3)), mode=mode)
                assert "mode=" not in str(caught.value)
            for call in (create_store, lambda place: open_store(place, "r+")):
                with pytest.raises(ReadOnlyStoreError, match="HTTP"):
                    call(place)
        with pytest.raises(ZarrVectorsError, match="consolidate_metadata"):
            read_points(f"{url}/a.zv")
        with pytest.raises(StoreError, match="consolidate_metadata"):
            open_store(f"{url}/a.zv")["0"].list_chunk_keys("vertices")
        consolidate_metadata(open_store(path, "r+"))
        assert len(read_points(f"{url}/a.zv").positions) == 5
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.zv"]
