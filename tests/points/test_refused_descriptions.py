"""Descriptions and metadata that cannot be kept are refused before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.points.clouds import make_cloud, tree
from zarr_vectors.exceptions import ArgumentError, ShapeError
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.lines import write_lines
from zarr_vectors.types.meshes import write_mesh
from zarr_vectors.types.parametric import write_parametric
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import write_polylines

N = 40
IDS = np.arange(N) % 4
VALUES = {"a": np.zeros(N), "b": np.zeros((N, 2))}
LOOP: dict[str, Any] = {}
LOOP["loop"] = LOOP

REFUSED: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "spec of nothing": (ArgumentError, r"attribute_specs.*'c'.*\['a', 'b'\]", {"attribute_specs": {"c": {}}}),
    "spec of no attributes": (ArgumentError, r"'c'.*none", {"attributes": None, "attribute_specs": {"c": {}}}),
    "data type in a spec": (ArgumentError, r"'dtype'.*'a'.*unit", {"attribute_specs": {"a": {"dtype": "int8"}}}),
    "unknown key": (ArgumentError, r"'units'.*'a'.*unit", {"attribute_specs": {"a": {"units": "m"}}}),
    "text as spec": (ArgumentError, r"attribute_specs.*'a'.*str", {"attribute_specs": {"a": "m"}}),
    "list of specs": (ArgumentError, r"attribute_specs.*mapping.*list", {"attribute_specs": [{"a": {}}]}),
    "object ids of fragments": (ArgumentError, r"fragment_attributes.*object_id.*reserved", {
        "object_ids": IDS, "chunk_shape": 200, "fragment_attributes": {"object_id": np.zeros(4)}}),
    "metadata of arrays": (ArgumentError, r"metadata.*JSON.*tolist", {"metadata": {"m": np.eye(2)}}),
    "metadata of NaN": (ArgumentError, r"metadata.*JSON", {"metadata": {"m": float("nan")}}),
    "metadata in a loop": (ArgumentError, r"metadata.*JSON", {"metadata": LOOP}),
    "metadata as list": (ArgumentError, r"metadata.*mapping.*list", {"metadata": [1, 2]}),
    "crs as text": (ArgumentError, r"crs.*mapping.*str", {"crs": "EPSG:4326"}),
    "crs of arrays": (ArgumentError, r"crs.*JSON", {"crs": {"m": np.eye(2)}}),
    "no channels": (ShapeError, r"'b'.*\(40, 0\).*channel", {"attributes": {"b": np.zeros((N, 0))}}),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    kind, message, arguments = REFUSED[case]
    with pytest.raises(kind, match=f"(?s){message}"):
        write_points(tmp_path / "new" / "deep" / "x", make_cloud(N), **{"attributes": VALUES, **arguments})
    assert tree(tmp_path) == {}


SPEC = {"attribute_specs": {"nope": {"unit": "m"}}}
WRITERS: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "lines": (write_lines, (np.zeros((3, 2, 3)),), {"line_attributes": {"known": np.zeros(3)}}),
    "polylines": (write_polylines, ([np.eye(3)],), {"object_attributes": {"known": np.zeros(1)}}),
    "graph": (write_graph, (np.eye(3), [[0, 1]]), {"edge_attributes": {"known": np.zeros(1)}}),
    "mesh": (write_mesh, (np.eye(3), [[0, 1, 2]]), {"face_attributes": {"known": np.zeros(1)}}),
    "parametric": (write_parametric, ({"sphere": [[0, 0, 0, 5]]},), {"object_attributes": {"known": np.zeros(1)}}),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_writer_refuses_descriptions_of_nothing(tmp_path: Path, kind: str) -> None:
    write, data, attributes = WRITERS[kind]
    with pytest.raises(ArgumentError, match=r"attribute_specs.*'nope'.*'known'"):
        write(tmp_path / "x", *data, **attributes, **SPEC)
    assert tree(tmp_path) == {}
    write(tmp_path / "x", *data, **attributes, attribute_specs={"known": AttributeSpec(unit="m")})


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_an_interrupted_first_write_leaves_no_folders(tmp_path: Path, kind: type[BaseException], revision: str) -> None:
    (tmp_path / "there").mkdir()
    before = tree(tmp_path)

    def interrupt(done: int, total: int) -> None:
        assert any((tmp_path / "there" / "new" / "deep").iterdir())
        raise kind

    place = tmp_path / "there" / "new" / "deep" / "x"
    with pytest.raises(kind):
        write_points(place, make_cloud(N), attributes=VALUES, format_version=revision, progress=interrupt)
    assert tree(tmp_path) == before
    write_points(place, make_cloud(N), format_version=revision)
    assert len(read_points(place)) == N


def test_folders_that_others_use_stay(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        (tmp_path / "new" / "note.txt").write_text("mine")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_points(tmp_path / "new" / "deep" / "x", make_cloud(N), progress=interrupt)
    assert tree(tmp_path) == {"new": None, "new/note.txt": b"mine"}
