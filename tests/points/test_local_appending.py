"""Appending points touches the chunks that they are in, and makes the store that writing it anew makes."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types import points as door
from zarr_vectors.types.local_appending import append_points
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])
BOUNDS = ([0, 0, 0], [100, 100, 100])


def some(count: int, seed: int, low: float = 0, high: float = 100, **more: Any) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    attributes = {
        "heat": rng.random(count),
        "kind": rng.choice(["a", "b"], count),
        "rgb": np.full((count, 3), seed, "u1"),
    }
    return {"positions": rng.uniform(low, high, (count, 3)), "attributes": attributes, **more}


def said(path: Path) -> Any:
    """Return everything that reading a store says of it."""
    reader = open_reader(path)
    levels = []
    for number in reader.level_numbers():
        found, level = read_points(path, level=number), reader.level(number)
        ids = None if found.object_ids is None else found.object_ids.tolist()
        columns = {name: values.tolist() for name, values in found.attributes.items()}
        metadata = level.metadata
        levels.append([found.positions.tolist(), ids, columns, metadata.vertex_count, metadata.stale, metadata.extra])
    root = reader.root
    return [levels, root.bounds, root.levels, root.crs, root.axes, reader.attributes.get("user_metadata")]


@settings(max_examples=12)
@given(
    revision=st.sampled_from(["0.9", "0.7"]),
    count=st.integers(1, 40),
    corner=st.sampled_from([(0.0, 100.0), (60.0, 70.0), (90.0, 105.0), (101.0, 130.0)]),
    policy=st.sampled_from(["expand", "ignore"]),
    objects=st.sampled_from([None, 50, 3]),
    levels=st.booleans(),
    shards=st.sampled_from(["auto", None]),
    dtype=st.sampled_from(["f4", "f8"]),
)
def test_both_ways_of_appending_make_one_store(
    tmp_path_factory: pytest.TempPathFactory,
    revision: str,
    count: int,
    corner: tuple[float, float],
    policy: str,
    objects: int | None,
    levels: bool,
    shards: Any,
    dtype: str,
) -> None:
    folder = tmp_path_factory.mktemp("a")
    first = some(
        60,
        1,
        chunk_shape=25,
        bin_shape=12.5,
        bounds=BOUNDS,
        dtype=dtype,
        shard_shape=None if revision == "0.7" else shards,
    )
    more = some(count, 2, *corner, out_of_bounds=policy, metadata={"n": 2})
    if objects is not None:
        first["object_ids"], more["object_ids"] = np.arange(60) // 10, np.arange(count) // 3 + objects
    write_points(folder / "here", **first, format_version=revision, metadata={"m": 1})
    if levels:
        build_pyramid(folder / "here", [(2, 1)])
    shutil.copytree(folder / "here", folder / "anew")
    here = write_points(folder / "here", **more, mode="a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "goes_locally", lambda *_: False)
        anew = write_points(folder / "anew", **more, mode="a")
    assert here == anew
    assert said(folder / "here") == said(folder / "anew")
    assert validate(folder / "here", level=5).errors == []


def files(path: Path) -> dict[str, tuple[int, bytes]]:
    return {
        file.relative_to(path).as_posix(): (file.stat().st_ino, file.read_bytes())
        for file in path.rglob("*")
        if file.is_file()
    }


@REVISIONS
def test_only_chunks_that_get_points_are_written(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "s"
    layout = {} if revision == "0.7" else {"shard_shape": None}
    write_points(path, **some(2000, 1), chunk_shape=20, bin_shape=10, bounds=BOUNDS, format_version=revision, **layout)
    before = files(path)
    write_points(path, **some(5, 2, 41, 43), mode="a")
    after = files(path)
    assert before.keys() == after.keys()
    changed = {name for name in after if after[name] != before[name]}
    key = "/2.2.2/" if revision == "0.7" else "/c/2/2/2"
    assert {name for name in changed if key not in f"{name}/" and not name.endswith(key)} <= {
        "zarr.json",
        "0/zarr.json",
    }
    arrays = ["vertices", "vertex_fragments", *(f"vertex_attributes/{name}" for name in ("heat", "kind", "rgb"))]
    assert all(any(name.startswith(f"0/{array}/") for name in changed) for array in arrays)


def test_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    peaks = []
    for count in (50_000, 800_000):
        path = tmp_path / str(count)
        positions = np.random.default_rng(0).uniform(0, 1000, (count, 3))
        write_points(path, positions, chunk_shape=100, bounds=([0] * 3, [1000] * 3), shard_shape=None, dtype="f8")
        tracemalloc.start()
        try:
            write_points(path, positions[:10] * 0.01, mode="a")
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert read_points(path).vertex_count == count + 10
    assert peaks[1] < 2 * peaks[0] + (1 << 20)
    assert peaks[1] < positions.nbytes / 4


@REVISIONS
@pytest.mark.parametrize("wrong", ["lacking", "type", "outside"])
def test_what_is_refused_leaves_the_store_as_it_was(tmp_path: Path, revision: str, wrong: str) -> None:
    path = tmp_path / "s"
    write_points(path, **some(50, 1), chunk_shape=50, bounds=BOUNDS, format_version=revision)
    before = files(path)
    more = some(4, 2)
    if wrong == "lacking":
        del more["attributes"]["rgb"]
    elif wrong == "type":
        more["attributes"]["rgb"] = np.full((4, 3), 300)
    else:
        more["positions"][2] = 500
    error: type[Exception] = OutOfBoundsError if wrong == "outside" else ArgumentError
    with pytest.raises(error, match="rgb" if wrong != "outside" else "row 2"):
        write_points(path, **more, mode="a")
    assert files(path) == before


def test_what_needs_the_whole_level_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local: list[bool] = []

    def noted(*arguments: Any) -> Any:
        found = append_points(*arguments)
        local.append(found is not None)
        return found

    monkeypatch.setattr(door, "append_points", noted)
    kinds = {"new category": {"kind": ["c"]}, "usual": {}}
    for name, changed in kinds.items():
        path = tmp_path / name
        write_points(path, **some(50, 1), chunk_shape=50, bounds=BOUNDS)
        more = some(1, 2)
        more["attributes"] |= changed
        write_points(path, **more, mode="a")
        assert read_points(path).vertex_count == 51
    assert local == [False, True]
    write_points(path, **some(80, 3), mode="a")
    assert local == [False, True, False]
    write_points(path, **more, mode="a", compressor="zstd")
    write_points(path, **more, mode="a", shard_shape=None)
    assert local == [False, True, False]
    assert read_points(path).vertex_count == 133
