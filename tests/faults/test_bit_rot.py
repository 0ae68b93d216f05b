"""Single bits of cells, shards and dense arrays that have turned over: each is noticed, and its chunk named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from zarr_vectors import RechunkSpec, create_store, edit, rechunk
from zarr_vectors.core.store import shard_store, unshard_store
from zarr_vectors.exceptions import ArgumentError, ArrayError
from zarr_vectors.formats.detection import REVISIONS
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage.documents import parse_document
from zarr_vectors.testing.fuzz.rot import Rot, is_data
from zarr_vectors.testing.fuzz.stores import WRITERS, Objects, small_stores
from zarr_vectors.types.points import read_points, write_points

STORES = small_stores()
POSITIONS = np.random.default_rng(0).uniform(0, 40, (300, 3)).astype(np.float32)


def checked_arrays(objects: dict[str, bytes]) -> dict[str, bool]:
    """Return whether the cells of each array of a store have checksums."""
    documents = {name: parse_document(data, name) for name, data in objects.items() if name.endswith("zarr.json")}
    return {name: is_checked(one) for name, one in documents.items() if one["node_type"] == "array"}


def is_checked(document: dict[str, Any]) -> bool:
    codecs = document["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        assert codecs[0]["configuration"]["index_codecs"][-1]["name"] == "crc32c"
        codecs = codecs[0]["configuration"]["codecs"]
    return bool(codecs[-1] == {"name": "crc32c"})


@pytest.mark.parametrize("name", sorted(STORES))
def test_everything_that_is_stored_has_a_checksum(name: str) -> None:
    assert any(map(is_data, STORES[name]))
    assert all(checked_arrays(STORES[name]).values())


def test_no_turned_bit_is_silent() -> None:
    rot = Rot(seed=9).run(2 * len(STORES), STORES)
    assert len(rot.bits) == len(STORES)
    assert rot.silent == []


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_what_is_written_without_checksums_has_none(kind: str, revision: str) -> None:
    place = Objects({})
    shards = {} if kind == "parametric" else {"shard_shape": None}
    WRITERS[kind](place, format_version=revision, compressor="zstd", checksum=False, **shards)
    assert set(checked_arrays(place.kept).values()) == {False}


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("checksum", [True, False])
def test_a_store_keeps_what_it_has(tmp_path: Path, revision: str, checksum: bool) -> None:
    place, other = Objects({}), Objects({})
    said: dict[str, Any] = {"chunk_shape": 20, "bounds": ([0] * 3, [40] * 3), "format_version": revision}
    create_store(place, **said, checksum=checksum)
    for _ in range(2):  # into the shell, and in the place of what is there
        write_points(place, POSITIONS, attributes={"a": np.arange(300)}, object_ids=np.arange(300) // 30)
    for ids in (np.arange(9) + 90, np.full(9, 5)):  # behind all others, and among them
        write_points(place, POSITIONS[:9], mode="a", attributes={"a": np.arange(9)}, object_ids=ids)
    build_pyramid(place, [(2.0, 1.0)])
    edit.add_attribute(place, "b", np.arange(318.0))
    if revision == max(REVISIONS):
        shard_store(place, 2)
        unshard_store(place, levels=[0])
    migrate(place, other, format_version=next(one for one in REVISIONS if one != revision))
    rechunk(place, RechunkSpec("spatial", spatial_chunk_shape=(40.0,) * 3), tmp_path / "r.zv")
    files = {str(one): one.read_bytes() for one in (tmp_path / "r.zv").rglob("*") if one.is_file()}
    for objects in (place.kept, other.kept, files):
        assert set(checked_arrays(objects).values()) == {checksum}
    migrate(place, other, checksum=not checksum, overwrite=True)
    assert set(checked_arrays(other.kept).values()) == {not checksum}


@pytest.mark.parametrize("given", [1, None, "yes"])
def test_what_is_no_choice_is_refused(given: Any) -> None:
    with pytest.raises(ArgumentError, match="checksum: expected True or False"):
        write_points(Objects({}), POSITIONS, checksum=given)


@pytest.mark.parametrize("revision", REVISIONS)
def test_zarr_python_reads_and_verifies_what_is_written_here(tmp_path: Path, revision: str) -> None:
    write_points(tmp_path / "a.zv", POSITIONS, chunk_shape=40, shard_shape=None, format_version=revision)
    path = tmp_path / "a.zv/0/vertices" / ("" if revision == max(REVISIONS) else "0.0.0")
    assert zarr.open_array(path, mode="r")[...].size
    cell = next(one for one in (path / "c").rglob("*") if one.is_file())
    data = bytearray(cell.read_bytes())
    data[-9] ^= 2
    cell.write_bytes(data)
    with pytest.raises(ValueError, match="checksum"):
        _ = zarr.open_array(path, mode="r")[...]
    with pytest.raises(ArrayError, match=r"0/vertices: chunk 0\.0\.0: .*damaged"):
        read_points(tmp_path / "a.zv")
