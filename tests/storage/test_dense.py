from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import zarr
import zarr.storage
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.exceptions import ArgumentError, ArrayError, MetadataError, UnsupportedFeatureError
from zarr_vectors.storage import (
    Range,
    dense_requests,
    document_bytes,
    encode_dense,
    fetch_dense,
    group_document,
    parse_document,
    resolve_storage,
)
from zarr_vectors.storage.dense import decode_dense
from zarr_vectors.testing.storage import CountingStorage
from zarr_vectors.typing import AnyArray, Document

ZSTD: Document = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
BLOSC: Document = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 8, "blocksize": 0},
}
GZIP: Document = {"name": "gzip", "configuration": {"level": 1}}

dtypes = st.sampled_from(["<i1", "<u2", "<i4", "<i8", "<u8", "<f2", "<f4", "<f8", "?", "<U3", ">i4"])


def made(dtype: str, shape: tuple[int, ...]) -> AnyArray:
    numbers = np.arange(math.prod(shape)) % 100
    return (numbers.astype("U") if "U" in dtype else numbers).astype(dtype).reshape(shape)


def put(values: AnyArray, **options: Any) -> tuple[CountingStorage, Document]:
    storage = CountingStorage(resolve_storage(zarr.storage.MemoryStore(), mode="w"))
    items = encode_dense("g/x", values, **options)
    assert items[0][0] == "g/x/zarr.json"
    storage.put_many(items)
    storage.reset()
    return storage, json.loads(items[0][1])


@given(
    dtypes,
    st.lists(st.integers(0, 9), min_size=1, max_size=3).map(tuple),
    st.integers(1, 5),
    st.sampled_from([[], [ZSTD], [BLOSC], [GZIP], [ZSTD, {"name": "crc32c"}]]),
    st.data(),
)
def test_round_trip_of_all_rows_and_of_some(
    dtype: str, shape: tuple[int, ...], extent: int, codecs: list[Document], data: st.DataObject
) -> None:
    values = made(dtype, shape)
    storage, document = put(values, chunks=(extent,) * len(shape), codecs=codecs, attributes={"a": [1]})
    found = fetch_dense(document, "g/x", storage.get_many)
    assert found.dtype == values.dtype.newbyteorder("<")
    assert np.array_equal(found, values)
    assert document["attributes"] == {"a": [1]}
    if shape[0]:
        rows = data.draw(st.lists(st.integers(0, shape[0] - 1), max_size=6))
        assert np.array_equal(fetch_dense(document, "g/x", storage.get_many, rows), values[rows])
    cut = data.draw(st.slices(shape[0]))
    assert np.array_equal(fetch_dense(document, "g/x", storage.get_many, cut), values[cut])
    assert np.array_equal(zarr.open_array(storage.zarr_store(), path="g/x", mode="r")[...], values)


def test_only_the_chunks_of_the_wanted_rows_are_asked() -> None:
    storage, document = put(np.arange(20).reshape(10, 2) + 1, chunks=(3, 1))
    keys = [[0, 0], [0, 1], [3, 0], [3, 1]]
    wanted = [Range(f"g/x/c/{i}/{j}") for i, j in keys]
    assert dense_requests(document, "g/x", [9, 0, 2]) == wanted
    assert dense_requests(document, "g/x", slice(4, 5)) == [Range("g/x/c/1/0"), Range("g/x/c/1/1")]
    assert dense_requests(document, "g/x", slice(5, 5)) == []
    assert dense_requests(document, "g/x", []) == []
    assert len(dense_requests(document, "g/x")) == 8
    fetch_dense(document, "g/x", storage.get_many, [9, 0, 2])
    assert storage.rounds == 1
    assert storage.addresses() == [request.address for request in wanted]


def test_fill_values() -> None:
    storage, document = put(np.array([np.nan, np.nan, 1.0]), chunks=(1,), fill_value=np.nan)
    assert storage.list_all() == ["g/x/c/2", "g/x/zarr.json"]
    assert document["fill_value"] == "NaN"
    assert np.array_equal(fetch_dense(document, "g/x", storage.get_many), [np.nan, np.nan, 1], equal_nan=True)
    smallest = np.iinfo(np.int64).min
    _, document = put(np.array([3]), chunks=(65536,), fill_value=smallest)
    assert document["fill_value"] == smallest


def test_no_dimensions_and_no_rows() -> None:
    storage, document = put(np.array(7.5), chunks=())
    assert fetch_dense(document, "g/x", storage.get_many) == 7.5
    storage, document = put(np.empty((0, 3), "f4"), chunks=(10, 3))
    assert storage.list_all() == ["g/x/zarr.json"]
    storage.reset()
    assert fetch_dense(document, "g/x", storage.get_many).shape == (0, 3)
    assert storage.rounds == 0


def test_arrays_of_others_are_read() -> None:
    store = zarr.storage.MemoryStore()
    values = np.arange(100, dtype=">u2").reshape(20, 5)
    zarr.create_array(store, name="sharded", data=values, chunks=(2, 5), shards=(6, 5))
    options: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": "."}}
    zarr.create_array(store, name="named", data=values, chunks=(7, 2), **options)
    storage = resolve_storage(store)
    for name, keys in [("sharded", ["sharded/c/1/0"]), ("named", ["named/1.0", "named/1.1", "named/1.2"])]:
        blob = storage.get_many([Range(f"{name}/zarr.json")])[0]
        assert blob is not None
        document = parse_document(blob, name)
        assert [request.address for request in dense_requests(document, name, [8, 11])] == keys
        assert np.array_equal(fetch_dense(document, name, storage.get_many, [8, 11]), values[[8, 11]])


def test_damaged_chunks_are_named() -> None:
    for codecs in ([], [ZSTD], [BLOSC], [GZIP]):
        storage, document = put(np.arange(1, 10.0), chunks=(3,), codecs=codecs)
        good = storage.get_many(dense_requests(document, "g/x"))
        for damaged in (bytes(good[1] or b"")[:-3], b"", b"nonsense", b"nonsense" * 5):
            with pytest.raises(ArrayError, match=r"array 'g/x': 'c/1' cannot be decoded"):
                decode_dense(document, [good[0], damaged, good[2]], path="g/x")


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match=r"shape \(3,\) cannot have Zarr chunks \(2, 2\)"):
        encode_dense("x", np.arange(3), chunks=(2, 2))
    with pytest.raises(ArgumentError, match="one positive number"):
        encode_dense("x", np.arange(3), chunks=(0,))
    with pytest.raises(ArgumentError, match="of type object cannot be stored"):
        encode_dense("x", np.array([None]), chunks=(1,))
    document = json.loads(encode_dense("x", np.arange(3), chunks=(2,))[0][1])
    for rows in ([3], [-1]):
        with pytest.raises(ArgumentError, match="rows 0 to 2"):
            dense_requests(document, "x", rows)
    with pytest.raises(ArgumentError, match="2 chunks were asked and 1 blobs given"):
        decode_dense(document, [None])


def test_bad_documents() -> None:
    document = json.loads(encode_dense("x", np.arange(3), chunks=(2,))[0][1])
    with pytest.raises(MetadataError, match="node_type 'group'"):
        dense_requests(group_document({}), "x")
    with pytest.raises(MetadataError, match="cannot be understood"):
        dense_requests({**document, "data_type": "float99"}, "x")
    with pytest.raises(MetadataError, match="cannot be understood"):
        dense_requests({key: value for key, value in document.items() if key != "shape"}, "x")
    with pytest.raises(UnsupportedFeatureError, match="codec"):
        dense_requests({**document, "codecs": [{"name": "bytes"}, {"name": "squeeze"}]}, "x")


def test_documents() -> None:
    document = group_document({"name": "é", "n": [1, 2.5, None, True]})
    assert parse_document(document_bytes(document), "zarr.json") == document
    with pytest.raises(MetadataError, match="cannot be written as JSON"):
        document_bytes({"x": float("nan")})
    with pytest.raises(MetadataError, match="cannot be written as JSON"):
        document_bytes({"x": {1, 2}})
    for damaged in (b"{", b"\xff\xfe", b""):
        with pytest.raises(MetadataError, match=r"'a/zarr.json' is not valid JSON"):
            parse_document(damaged, "a/zarr.json")
    with pytest.raises(MetadataError, match="holds a JSON list"):
        parse_document(memoryview(b"[]"), "a/zarr.json")
