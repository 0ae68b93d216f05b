"""Good stores pass, foreign ones get notes at most, damaged ones never raise; the form of the report."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validate.conftest import REVISIONS, make
from tests.validate.damage import Files
from zarr_vectors.exceptions import ArgumentError, StoreNotFoundError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.points import write_points
from zarr_vectors.validate import validate
from zarr_vectors.validate.blocks import BlockReader

FIXTURES = [
    "graph", "lines", "mesh", "mesh_pyr", "points", "points2d", "points_obj", "points_pyr", "skeleton",
    "skeleton_pyr", "streamlines", "streamlines_pyr",
]  # fmt: skip


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["points", "objects", "corner", "bare", "diagonal"])
def test_good_stores_pass(kind: str, revision: str, good_stores: Path) -> None:
    report = validate(good_stores / f"{kind}-{revision}", level=5)
    assert report.is_valid
    assert report.errors == report.warnings == report.notes == []
    checks = {outcome.check for outcome in report.outcomes}
    assert {"metavertices", "centroids", "aggregates", "vertices-in-chunk", "recomputed"} <= checks


def write_busy(path: object, revision: str, *, objects: bool) -> None:
    """Write many kinds of attributes, negative coordinates, and levels of which some have larger chunks."""
    rng = np.random.default_rng(5)
    n = 3000
    ids = rng.integers(-5, 60, n) * 7
    known = np.unique(ids)
    more = {
        "object_ids": ids, "object_attributes": {"size": rng.random(len(known))}, "groups": {"some": known[::2]},
    }  # fmt: skip
    write_points(
        path, rng.uniform(-70, 130, (n, 3)), chunk_shape=(50, 40, 60), bin_shape=(12.5, 20, 10),
        attributes={
            "value": rng.normal(size=n).astype(np.float32),
            "kind": rng.integers(0, 4, n),
            "flag": rng.random(n) > 0.5,
            "rgb": rng.integers(0, 256, (n, 3)).astype(np.uint8),
            "when": np.datetime64("2026-01-01", "ns") + rng.integers(0, 10**15, n),
        },
        format_version=revision, **(more if objects else {}),
    )  # fmt: skip
    thin = 2.0 if objects else 1.0
    build_pyramid(
        path, factors=[(2, 1.0), (3, thin), ((8, 8, 6), 2 * thin if objects else 1.0)],
        agg_mode={"rgb": "mean", "when": "mean", "kind": "max", "value": "sum", "n": "count"},
    )  # fmt: skip


@pytest.mark.parametrize("objects", [False, True], ids=["points", "objects"])
@pytest.mark.parametrize("revision", REVISIONS)
def test_busy_stores_pass_whole_and_in_samples(revision: str, objects: bool, tmp_path: Path) -> None:
    write_busy(tmp_path / "s", revision, objects=objects)
    whole = validate(tmp_path / "s")
    assert whole.errors == whole.warnings == whole.notes == []
    for seed in range(3):
        sampled = validate(tmp_path / "s", sample_fraction=0.15, seed=seed)
        assert sampled.errors == sampled.warnings == sampled.notes == [], sampled.summary()


def test_sample_of_one_chunk_sees_its_damage(copied: Callable[[str], Files]) -> None:
    files = copied("points-0.9")
    for key in ("0.0", "0.1", "1.0", "1.1"):
        files.change_rows("0/vertex_attributes/label", key, "u1", lambda values: values + 7)
    report = validate(files.root, level=4, sample_fraction=0.25, seed=1)
    assert [f.check for f in report.errors] == ["category-codes"]


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["points", "objects"])
def test_blocks_of_single_chunks_say_the_same(
    kind: str, revision: str, good_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = validate(good_stores / f"{kind}-{revision}").to_dict()
    monkeypatch.setattr(BlockReader, "_chunks_per_block", lambda self, level: 1)
    assert validate(good_stores / f"{kind}-{revision}").to_dict() == whole


def test_damage_in_one_of_many_chunks_leaves_the_others_checked(copied: Callable[[str], Files]) -> None:
    files = copied("points-0.9")
    files.cell_file("0/vertices", "0.0").write_bytes(b"rot")
    files.change_rows("0/vertices", "1.1", "<f4", lambda values: values + 50)
    found = {f.check for f in validate(files.root, level=4).errors}
    assert {"cells-readable", "vertices-in-chunk"} <= found


@pytest.mark.parametrize("name", FIXTURES)
def test_stores_of_early_writers_get_notes_only(name: str, stores_07: Path) -> None:
    report = validate(stores_07 / f"{name}.zv", level=5)
    assert report.is_valid
    assert report.warnings == []
    assert {note.check for note in report.notes} <= {
        "multiscales-listed", "capabilities", "bins-nest", "recomputed", "centroids",
    }  # fmt: skip


PEER_PROGRAM = """
import sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from zarr_vectors.types.points import write_points
from zarr_vectors.multiresolution.coarsen import build_pyramid
folder = sys.argv[1]
rng = np.random.default_rng(0)
positions = rng.uniform(-50, 150, (2000, 3)).astype("f4")
shapes = dict(chunk_shape=(50.0,) * 3, bin_shape=(25.0,) * 3)
ids = rng.integers(0, 40, 2000)
objects = dict(object_ids=ids, object_attributes={"v": np.arange(40.0)}, groups={0: list(range(20))})
for name, more in (("points", {"vertex_attributes": {"i": rng.random(2000)}}), ("objects", objects)):
    write_points(f"{folder}/{name}", positions, **shapes, **more)
    write_points(f"{folder}/{name}_pyramid", positions, **shapes, **more)
    build_pyramid(f"{folder}/{name}_pyramid", factors=[(2.0, 1.0), (2.0, 1.0)])
"""


@pytest.mark.peer
def test_stores_of_the_reference_get_notes_only(peer_python: Path, tmp_path: Path) -> None:
    subprocess.run([peer_python, "-c", PEER_PROGRAM, tmp_path], check=True, cwd=tmp_path, capture_output=True)
    for name in ("points", "points_pyramid", "objects", "objects_pyramid"):
        report = validate(tmp_path / name, level=5)
        assert report.is_valid, report.summary()
        assert report.warnings == []
        assert report.passed > 30


def test_encoded_positions_are_noted(copied: Callable[[str], Files]) -> None:
    files = copied("points-0.9")
    files.attributes("0/vertices", encoding="draco")
    report = validate(files.root, level=4)
    assert report.is_valid
    assert [note.check for note in report.notes] == ["cells-readable"]


def test_empty_store_passes(tmp_path: Path) -> None:
    write_points(tmp_path / "none", np.zeros((0, 3)), chunk_shape=10)
    assert validate(tmp_path / "none").errors == []


def test_store_by_url() -> None:
    write_points("memory://validate-url", np.random.default_rng(0).uniform(0, 9, (50, 2)))
    report = validate("memory://validate-url", level=5)
    assert report.is_valid
    assert report.url.startswith("memory://")


def test_summary_and_report_name_every_check(copied: Callable[[str], Files]) -> None:
    files = copied("points-0.9")
    good = validate(files.root, level=5)
    head, counts = good.summary().split("\n")
    assert head == "Level 5 validation: PASS"
    assert re.fullmatch(r"  \d+ passed, 0 warnings, 0 errors", counts)
    assert good.passed == len(good.outcomes)
    files.level_block(2, stale=True)
    files.change_rows("1/vertices", "0.0", "<f4", lambda values: values + 0.5)
    bad = validate(files.root, level=5)
    lines = bad.summary().split("\n")
    assert lines[0] == "Level 5 validation: FAIL"
    assert lines[1] == f"  {bad.passed} passed, 1 warnings, 1 errors"
    assert 0 < bad.passed < good.passed
    assert [line.split(":")[0].strip() for line in lines[2:]] == ["error", "warning"]
    assert str(bad) == bad.summary()
    text = bad.report()
    assert all(outcome.check in text and outcome.description in text for outcome in bad.outcomes)
    assert "Level 4: conventions" in text
    document = json.loads(json.dumps(bad.to_dict()))
    assert document["is_valid"] is False
    assert document["errors"][0]["check"] == "centroids"
    assert len(document["checks"]) == len(bad.outcomes)


def test_each_level_includes_those_before_it(good_stores: Path) -> None:
    counts = [validate(good_stores / "points-0.9", level=level).passed for level in range(1, 6)]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("level", [0, 6, "5", 2.0, True, None])
def test_level_out_of_range(level: object, good_stores: Path) -> None:
    with pytest.raises(ArgumentError, match="level: expected a whole number from 1 to 5"):
        validate(good_stores / "points-0.9", level=level)  # type: ignore[arg-type]


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, "half"])
def test_fraction_out_of_range(fraction: object, good_stores: Path) -> None:
    with pytest.raises(ArgumentError, match="sample_fraction"):
        validate(good_stores / "points-0.9", sample_fraction=fraction)  # type: ignore[arg-type]


def test_seed_must_be_a_whole_number(good_stores: Path) -> None:
    with pytest.raises(ArgumentError, match="seed"):
        validate(good_stores / "points-0.9", sample_fraction=0.5, seed=-1)


def test_nothing_at_the_path(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="no Zarr Vectors store"):
        validate(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("not a store")
    with pytest.raises(StoreNotFoundError, match="no Zarr Vectors store"):
        validate(tmp_path)


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stores whose files are damaged and mended again."""
    folder = tmp_path_factory.mktemp("fragile")
    for revision in REVISIONS:
        make(folder / revision, revision, objects=True)
    return {revision: folder / revision for revision in REVISIONS}


@pytest.mark.parametrize("revision", REVISIONS)
@given(data=st.data())
def test_any_damage_is_a_finding_never_an_exception(
    revision: str, fragile: dict[str, Path], data: st.DataObject
) -> None:
    files = sorted(file for file in fragile[revision].rglob("*") if file.is_file())
    file = data.draw(st.sampled_from(files))
    whole = file.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.one_of(st.just(whole[:at]), st.binary(min_size=1, max_size=9).map(
        lambda b: whole[:at] + b + whole[at + len(b):])))  # fmt: skip
    try:
        file.write_bytes(new)
        report = validate(fragile[revision], level=5)
        assert report.summary().startswith("Level 5 validation: ")
    finally:
        file.write_bytes(whole)


ODD_VALUES = [None, True, -1, 0, 10**30, 0.5, "", "odd", [], [[]], [1], ["a", "b"], {}, {"a": {}}]


def places(document: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Return the path to every value of a JSON document."""
    children = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


@pytest.mark.parametrize("revision", REVISIONS)
@given(data=st.data())
def test_any_odd_metadata_is_a_finding_never_an_exception(
    revision: str, fragile: dict[str, Path], data: st.DataObject
) -> None:
    depth = "*/*/zarr.json" if revision == "0.7" else "**/zarr.json"
    files = sorted(
        {*fragile[revision].glob(depth), *fragile[revision].glob("*/zarr.json"), fragile[revision] / "zarr.json"}
    )
    file = data.draw(st.sampled_from(files))
    whole = file.read_text()
    document = json.loads(whole)
    path = data.draw(st.sampled_from(places(document)[1:]))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = data.draw(st.sampled_from(ODD_VALUES))
    try:
        file.write_text(json.dumps(document))
        report = validate(fragile[revision], level=5)
        assert report.report()
    finally:
        file.write_text(whole)
