"""Edits of stores whose chunks go by more than space: vertices keep their bins, new ones get theirs."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from tests.edit.oracle import see, start
from zarr_vectors import edit
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.metadata import CHUNKED_BY
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_manifests, read_object_ids
from zarr_vectors.read.opening import open_reader
from zarr_vectors.rechunking.rebinning import rebin_store
from zarr_vectors.rechunking.running import rechunk
from zarr_vectors.rechunking.spec import RechunkSpec
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])
SPECS = {
    "group": RechunkSpec("group"),
    "object_id": RechunkSpec("object_id", bins=[0, 2]),
    "values": RechunkSpec("attribute:k"),
    "ranges": RechunkSpec("attribute:size", bins=[0, 15]),
    "of vertices": RechunkSpec("attribute:depth", bins=[0, 6]),
    "values of vertices": RechunkSpec("attribute:few"),
}


def rechunked(spec: RechunkSpec, revision: str = "0.9") -> str:
    path = f"memory://rechunked-{uuid.uuid4().hex}"
    write_points(
        path,
        np.random.default_rng(1).uniform(0, 100, (12, 3)),
        object_ids=np.arange(12) // 3,
        attributes={"depth": np.arange(12.0), "few": np.arange(12.0) % 2},
        object_attributes={"k": ["u", "v"] * 2, "size": [0.0, 10.0, 20.0, 30.0]},
        groups={"a": [0, 1], "b": [2]},
        chunk_shape=50,
        bounds=([0] * 3, [100] * 3),
        format_version=revision,
    )
    rechunk(path, spec)
    return path


def finest(path: str) -> LevelReader:
    return open_reader(path).level(0)


def bins_of(path: str) -> dict[int, set[int]]:
    level = finest(path)
    ids, manifests = read_object_ids(level), read_manifests(level, None)
    assert ids is not None
    return {
        int(number): set(manifests.chunks[first:last, 0].tolist())
        for number, first, last in zip(ids, manifests.offsets[:-1], manifests.offsets[1:], strict=True)
    }


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
@REVISIONS
def test_vertices_keep_their_bins(spec: RechunkSpec, revision: str) -> None:
    path = rechunked(spec, revision)
    before = bins_of(path)
    rows = [0, 5, 11]
    edit.move_vertices(path, [[1, 1, 1]] * 3, rows=rows)
    assert bins_of(path) == before
    edit.delete_objects(path, [0])
    assert bins_of(path) == {number: bins for number, bins in before.items() if number}
    assert finest(path).chunks.shape[1] == len(finest(path).metadata.chunk_dims or ()) == 4
    assert validate(path, level=5).is_valid
    rebin_store(path, 5.0)
    assert bins_of(path) == {number: bins for number, bins in before.items() if number}


@pytest.mark.parametrize(
    ("name", "bin_of_new"),
    [("group", 2), ("object_id", 1), ("values", 0), ("ranges", 1), ("of vertices", 1), ("values of vertices", 1)],
)
@REVISIONS
def test_new_vertices_get_the_bin_of_their_value(name: str, bin_of_new: int, revision: str) -> None:
    path = rechunked(SPECS[name], revision)
    before = bins_of(path)
    added = edit.append_vertices(
        path,
        [[1, 1, 1], [2, 2, 2]],
        object_ids=9,
        attributes={"depth": [6.0, 7.0], "few": [1.0, 1.0]},
        object_attributes={"k": ["u"], "size": [40.0]},
    )
    assert (added.vertices_added, added.new_objects) == (2, 1)
    assert bins_of(path) == {**before, 9: {bin_of_new}}
    found = read_points(path, object_ids=[9])
    assert found.attributes["depth"].tolist() == [6, 7]
    assert found.attributes["few"].tolist() == [1, 1]
    assert validate(path, level=5).is_valid


@REVISIONS
def test_what_has_no_value_gets_the_last_bin_and_the_metadata_say_so(revision: str) -> None:
    path = rechunked(SPECS["values of vertices"], revision)
    assert finest(path).metadata.chunk_attribute_name == "few"
    edit.append_vertices(path, [[1, 1, 1]], object_ids=9, object_attributes={"k": ["u"]})
    assert bins_of(path)[9] == {2}
    metadata = finest(path).metadata
    assert metadata.extra[CHUNKED_BY]["bins"] == [0.0, 1.0, None]
    assert metadata.chunk_attribute_name is None
    assert np.isnan(read_points(path, object_ids=[9]).attributes["few"]).all()
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_replaced_objects_stay_in_their_bin(spec: RechunkSpec) -> None:
    path = rechunked(spec)
    before = bins_of(path)
    edit.replace_objects(path, [[99, 1, 1], [1, 1, 1]], 3, attributes={"depth": [9.0, 10.0], "few": [0.0, 1.0]})
    assert bins_of(path) == before
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
@REVISIONS
def test_coarse_levels_are_built_anew_in_bins(spec: RechunkSpec, revision: str) -> None:
    path = rechunked(spec, revision)
    build_pyramid(path, [(2.0, 1.0)])
    edit.delete_objects(path, [0])
    assert edit.refresh_levels(path)
    assert open_reader(path).level(1).chunks.shape[1] == 4
    edit.append_vertices(path, [[1, 1, 1]], object_ids=9, object_attributes={"k": ["u"]}, refresh=True)
    assert validate(path, level=5).is_valid
    assert not validate(path, level=5).warnings


def test_an_emptied_store_takes_vertices_again() -> None:
    path = rechunked(SPECS["group"])
    edit.delete_objects(path, [0, 1, 2, 3])
    assert len(finest(path).chunks) == 0
    edit.append_vertices(path, [[1, 1, 1]], object_ids=9, object_attributes={"k": ["u"]})
    assert bins_of(path) == {9: {2}}
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize(
    ("spec", "values"),
    [(RechunkSpec("attribute:k"), {"k": ["w"]}), (RechunkSpec("object_id"), {"k": ["u"]})],
)
def test_values_without_a_bin_are_refused(spec: RechunkSpec, values: Any) -> None:
    path = rechunked(spec)
    with pytest.raises(ArgumentError, match="there is no bin for"):
        edit.append_vertices(path, [[1, 1, 1]], object_ids=9, object_attributes=values)
    assert len(read_points(path).positions) == 12


@pytest.mark.parametrize(
    ("name", "kind", "attribute"),
    [("values", "object", "k"), ("ranges", "object", "size"), ("of vertices", "vertex", "depth")],
)
def test_the_attribute_that_chunks_go_by_stays(name: str, kind: str, attribute: str) -> None:
    path = rechunked(SPECS[name])
    values = ["u"] * 4 if attribute == "k" else np.zeros(12 if kind == "vertex" else 4)
    with pytest.raises(ArgumentError, match=f"go by {kind} attribute '{attribute}'"):
        edit.set_attribute(path, attribute, values, kind=kind)
    with pytest.raises(ArgumentError, match=f"go by {kind} attribute '{attribute}'"):
        edit.remove_attribute(path, attribute, kind=kind)
    edit.set_attribute(path, "few", np.zeros(12))


def test_groups_that_chunks_go_by_stay_as_far_as_bins_follow_from_them() -> None:
    path = rechunked(SPECS["group"])
    edit.set_groups(path, {"a": [1, 0], "b": [2, 1]}, attributes={"score": [1.0, 2.0]})
    for groups in ({"a": [0], "b": [2]}, {"a": [0, 1], "c": [2]}, {"a": [0, 1]}, None):
        with pytest.raises(ArgumentError, match=r"groups: the chunks of .* go by groups"):
            edit.set_groups(path, groups)
    assert validate(path, level=5).is_valid


@pytest.mark.parametrize("kind", ["paths", "graph", "skeleton", "mesh"])
@pytest.mark.parametrize("by", ["group", "object_id", "attribute:tag"])
def test_other_kinds_keep_their_bins(kind: str, by: str) -> None:
    path = f"memory://rechunked-{uuid.uuid4().hex}"
    start(kind, "0.9", path, 3)
    bins: dict[str, list[float]] = {"object_id": [0, 4], "attribute:tag": [0, 20]}
    rechunk(path, RechunkSpec(by, bins=bins.get(by)))
    before = bins_of(path)
    edit.move_vertices(path, [[1, 1, 1]], rows=[0])
    assert bins_of(path) == before
    edit.append_vertices(
        path, [[1, 1, 1], [2, 2, 2]], object_ids=99, attributes={"tag": [50, 51]}, object_attributes={"weight": [1.0]}
    )
    assert bins_of(path) == {**before, 99: {2 if by == "group" else 1}}
    assert 50 in see(kind, path).plain.owners
    assert validate(path, level=5).is_valid
