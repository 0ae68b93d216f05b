"""Coarse levels of stores that are appended to: made anew in the same step, by what was asked when they were built."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.exceptions import ArgumentError, StoreError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader
from zarr_vectors.storage.replace import recover
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.storage import CountingStorage, FailingStorage, SimulatedCrashError
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate

REVISIONS = ("0.7", "0.9")


def walks(lengths: list[int], seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.cumsum(rng.normal(0, 3, (n, 3)), axis=0).astype(np.float32) for n in lengths]


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("strategy", ["size", "attribute:weight"])
def test_objects_are_chosen_as_before(tmp_path: Path, revision: str, strategy: str) -> None:
    lengths = [3, 20, 5, 18, 4, 2]
    store = tmp_path / "s.zv"

    def write(paths: list[Any], **more: Any) -> None:
        weights = [len(path) for path in paths]
        write_polylines(store, paths, object_attributes={"weight": weights}, **more)

    write(walks(lengths), chunk_shape=8, bin_shape=2, format_version=revision)
    build_pyramid(store, [(2, 2)], sparsity_strategy=strategy)
    assert read_polylines(store, level=1).object_ids.tolist() == [1, 2, 3]
    write(walks([19, 1], seed=1), mode="a", out_of_bounds="expand")
    assert read_polylines(store, level=1).object_ids.tolist() == [1, 2, 3, 6]


def test_a_random_choice_is_made_by_the_same_seed(tmp_path: Path) -> None:
    for name, seed in (("given", 7), ("drawn", None)):
        write_polylines(tmp_path / name, walks([4] * 30), chunk_shape=8, bin_shape=2)
        build_pyramid(tmp_path / name, [(2, 3)], sparsity_seed=seed)
        recorded = open_reader(tmp_path / name).level(1).metadata.extra["sparsity"]
        assert recorded["strategy"] == "random"
        assert recorded["seed"] == seed or seed is None
        write_polylines(tmp_path / name, walks([4] * 3, seed=1), mode="a", out_of_bounds="expand")
        chosen = read_polylines(tmp_path / name, level=1).object_ids.tolist()
        write_polylines(tmp_path / "whole", walks([4] * 30) + walks([4] * 3, seed=1), chunk_shape=8, bin_shape=2)
        build_pyramid(tmp_path / "whole", [(2, 3)], sparsity_seed=recorded["seed"])
        assert chosen == read_polylines(tmp_path / "whole", level=1).object_ids.tolist()
        shutil.rmtree(tmp_path / "whole")


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_append_that_dies_leaves_levels_of_the_same_vertices(tmp_path: Path, revision: str) -> None:
    rng = np.random.default_rng(0)
    first, more = rng.uniform(0, 40, (60, 3)).astype("f4"), rng.uniform(0, 40, (30, 3)).astype("f4")
    write_points(
        tmp_path / "good", first, chunk_shape=20, bin_shape=5, bounds=([0] * 3, [40] * 3), format_version=revision
    )
    build_pyramid(tmp_path / "good", [(2, 1), (4, 1)])
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "good", whole)
    counting = CountingStorage(resolve_storage(whole, mode="a"))
    write_points(counting, more, mode="a")
    total = sum(request.kind in ("put", "delete", "move") for request in counting.log)
    assert total > 10
    states = set()
    for number in sorted({*range(1, total, 3), total - 1, total}):
        path = tmp_path / "copy"
        shutil.copytree(tmp_path / "good", path)
        with pytest.raises(SimulatedCrashError):
            write_points(FailingStorage(resolve_storage(path, mode="a"), fail_at=number), more, mode="a")
        recover(resolve_storage(path, mode="r+"))
        counts = [read_points(path, level=level).vertex_count for level in range(3)]
        reference = tmp_path / ("good" if counts[0] == 60 else "whole")
        assert counts == [read_points(reference, level=level).vertex_count for level in range(3)]
        assert validate(path, level=5).is_valid
        states.add(counts[0])
        shutil.rmtree(path)
    assert 60 in states


def test_an_append_to_levels_that_cannot_be_made_again_is_refused_as_a_whole(tmp_path: Path) -> None:
    store = tmp_path / "s.zv"
    positions = np.random.default_rng(0).uniform(0, 40, (60, 3))
    write_points(store, positions, chunk_shape=20, bin_shape=5, object_ids=np.arange(60) % 6)
    build_pyramid(store, [(2, 2)], sparsity_strategy="size")
    document = json.loads((store / "1/zarr.json").read_text())
    document["attributes"]["zarr_vectors_level"]["sparsity"]["strategy"] = "attribute:gone"
    (store / "1/zarr.json").write_text(json.dumps(document))
    before = read_points(store, level=1).positions
    with pytest.raises((ArgumentError, StoreError), match="gone"):
        write_points(store, positions, object_ids=np.arange(60) % 6 + 6, mode="a")
    assert read_points(store).vertex_count == 60
    assert read_points(store, level=1).positions.tolist() == before.tolist()


def test_stores_of_the_reference_keep_their_levels(tmp_path: Path, peer_python: str) -> None:
    program = (
        "import sys, warnings; warnings.simplefilter('ignore'); import numpy as np\n"
        "from zarr_vectors.types.polylines import write_polylines\n"
        "from zarr_vectors.multiresolution.coarsen import build_pyramid\n"
        "rng = np.random.default_rng(0)\n"
        "paths = [np.cumsum(rng.normal(0, 3, (20, 3)), 0).astype('f4') for _ in range(6)]\n"
        "write_polylines(sys.argv[1], paths, chunk_shape=(8.,) * 3, bin_shape=(4.,) * 3)\n"
        "build_pyramid(sys.argv[1], factors=[(2., 1.), (4., 2.)])\n"
    )
    store = tmp_path / "theirs.zv"
    subprocess.run([peer_python, "-c", program, str(store)], check=True, capture_output=True)
    write_polylines(store, walks([20], seed=1), mode="a", out_of_bounds="expand")
    assert read_polylines(store).polyline_count == 7
    assert read_polylines(store, level=1).polyline_count == 7
    assert open_reader(store).level_numbers() == [0, 1, 2]
    report = validate(store, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("revision", REVISIONS)
def test_levels_share_where_level_0_does(tmp_path: Path, revision: str) -> None:
    core = np.stack([np.linspace(0.5, 99, 50)] * 3, axis=1)
    store = tmp_path / "s.zv"
    write_polylines(store, [core] * 6, chunk_shape=50, bin_shape=5, share_fragments=True, format_version=revision)
    for shared, count in ((None, 10), (False, 60)):
        built = build_pyramid(store, [(2, 1)], share_metavertices=shared, overwrite=True)
        assert built.levels[0].vertex_count == count
        report = validate(store, level=5)
        assert report.is_valid, report.report()


def test_links_between_levels_need_bins_that_nest(tmp_path: Path) -> None:
    store = tmp_path / "s.zv"
    write_points(store, np.array([[2.5, 0.0], [3.5, 0.0]]), chunk_shape=6, bin_shape=1)
    with pytest.raises(ArgumentError, match=r"factors: links between levels 1 and 2 .* \(2, 2\) and \(3, 3\)"):
        build_pyramid(store, [(2, 1), (3, 1)], cross_level_storage="explicit")
    assert open_reader(store).level_numbers() == [0]
    assert [level.vertex_count for level in build_pyramid(store, [(2, 1), (3, 1)]).levels] == [1, 2]
    report = validate(store, level=5)
    assert report.is_valid, report.report()
