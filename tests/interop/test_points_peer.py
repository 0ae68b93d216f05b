"""Points written here read there, and the other way round. The reference is zarr-vectors 0.9.2.

Boxes are compared on points without objects: there the reference takes fragment f for bin f, which is not so
where fragments are objects.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.types.points import read_points, write_points

pytestmark = pytest.mark.peer

COUNT = 700
GROUPS = {0: [0, 1, 2, 3], 1: [4, 9], 2: []}


@dataclass(frozen=True)
class Case:
    """Points and how they are written.

    Attributes
    ----------
    ndim, dtype, low : int, str, float
        Dimensions, precision, and where the cube of edge 100 starts.
    objects : int
        Number of objects; 0 for none.
    ids : callable, optional
        From object numbers to object ids.
    options : dict
        Arguments of the writer.
    """

    ndim: int = 3
    dtype: str = "float32"
    low: float = 0.0
    objects: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    chunk: float = 40.0
    bins: int = 4
    ids: Callable[[Any], Any] | None = None


CASES = {
    "default": Case(),
    "plain": Case(options={"compressor": None, "shard_shape": None}),
    "plain-sharded": Case(options={"compressor": None}),
    "zstd": Case(options={"compressor": "zstd", "shard_shape": None}),
    "zstd-sharded": Case(options={"compressor": "zstd", "shard_shape": 2}),
    "blosc": Case(options={"compressor": "blosc", "shard_shape": None}),
    "blosc-sharded": Case(options={"compressor": "blosc:5", "shard_shape": (1, 2, 3)}),
    "gzip": Case(options={"compressor": "gzip"}),
    "codecs": Case(options={"compressor": ["zstd", {"name": "crc32c"}]}),
    "negative": Case(low=-70.5),
    "negative-float64": Case(low=-50.0, dtype="float64"),
    "flat": Case(ndim=2),
    "flat-float64": Case(ndim=2, dtype="float64", low=-1e6, options={"compressor": None}),
    "float16": Case(dtype="float16", bins=2),
    "one-bin": Case(bins=1),
    "objects": Case(objects=30),
    "objects-plain": Case(objects=30, options={"compressor": None, "shard_shape": None}),
    "objects-sharded": Case(objects=30, low=-60.0, options={"compressor": "zstd", "shard_shape": 2}),
    "objects-flat": Case(objects=12, ndim=2),
    "objects-sparse": Case(objects=30, ids=lambda number: number * 1000 + 7),
}
UNDIFFERENTIATED = [name for name, case in CASES.items() if not case.objects]
WITH_OBJECTS = [name for name, case in CASES.items() if case.objects]
ATTRIBUTES = ["intensity", "label", "color", "flag", "weights"]


def arrays_of(case: Case) -> dict[str, Any]:
    random = np.random.default_rng(17)
    positions = random.uniform(case.low, case.low + 100, (COUNT, case.ndim)).astype(case.dtype)
    edge = case.chunk / case.bins
    positions[:60] = np.round(positions[:60] / edge) * edge  # on the faces of bins and chunks
    attributes = {
        "intensity": random.normal(size=COUNT).astype(np.float32),
        "label": random.integers(-5, 5, COUNT, np.int32),
        "color": random.integers(0, 256, (COUNT, 3)).astype(np.uint8),
        "flag": random.integers(0, 256, COUNT).astype(np.uint8),
        "weights": random.normal(size=(COUNT, 2)),
    }
    arrays: dict[str, Any] = {"positions": positions, "attributes": attributes}
    if case.objects:
        numbers = np.concatenate([np.arange(case.objects), random.integers(0, case.objects, COUNT - case.objects)])
        to_id = case.ids or (lambda number: number)
        arrays["object_ids"] = to_id(numbers)
        arrays["object_attributes"] = {
            "volume": random.normal(size=case.objects).astype(np.float32),
            "centre": random.normal(size=(case.objects, 3)),
        }
        arrays["groups"] = {g: [int(to_id(m)) for m in members] for g, members in GROUPS.items()}
        arrays["group_attributes"] = {"region": np.array([5, 6, 7])}
    return arrays


def box_of(case: Case) -> tuple[list[float], list[float]]:
    """Return a box whose lower corner is on bin faces and whose upper corner is nowhere in particular."""
    edge = case.chunk / case.bins
    low = np.ceil((case.low + 13) / edge) * edge
    return [float(low)] * case.ndim, [float(low + 1.87 * case.chunk)] * case.ndim


@dataclass(frozen=True)
class Written:
    store: Path
    folder: Path
    answers: dict[str, Any]

    def peer(self, name: str) -> dict[str, Any]:
        with np.load(self.folder / f"{name}.npz") as found:
            return dict(found)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, run_peer: Callable[..., list[Any]]) -> dict[str, Written]:
    """Every case written here, with what the reference says of it."""
    root = tmp_path_factory.mktemp("ours")
    jobs: list[dict[str, Any]] = []
    for name, case in CASES.items():
        folder = root / name
        folder.mkdir()
        store, data = folder / "store.zv", arrays_of(case)
        bins = case.chunk / case.bins
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_points(store, chunk_shape=case.chunk, bin_shape=bins, dtype=case.dtype, **data, **case.options)
        reading = {"do": "read", "store": store, "attributes": ATTRIBUTES}
        jobs += [{"do": "check", "store": store}, {**reading, "out": folder / "all.npz"}]
        if case.objects:
            some = np.unique(data["object_ids"])[[2, 5, 7]].tolist()
            jobs += [
                {**reading, "out": folder / "some.npz", "object_ids": some},
                {**reading, "out": folder / "grouped.npz", "group_ids": [0]},
                {
                    "do": "read_tables",
                    "store": store,
                    "out": folder / "tables.npz",
                    "objects": ["volume", "centre"],
                    "groups": ["region"],
                },
            ]
        else:
            jobs.append({**reading, "out": folder / "box.npz", "bbox": box_of(case)})
    answers = run_peer(jobs)
    said: dict[str, dict[str, Any]] = {name: {} for name in CASES}
    for job, answer in zip(jobs, answers, strict=True):
        said[Path(job["store"]).parent.name][job["do"]] = answer
    return {name: Written(root / name / "store.zv", root / name, said[name]) for name in CASES}


def assert_same_rows(found: dict[str, Any], expected: Any) -> None:
    """Compare what the reference read with what was read here, row by row."""
    assert found["positions"].dtype == expected.positions.dtype
    np.testing.assert_array_equal(found["positions"], expected.positions)
    for name, values in expected.attributes.items():
        np.testing.assert_array_equal(found[f"attribute:{name}"], values, err_msg=name)
        assert found[f"attribute:{name}"].dtype == values.dtype, name


def sorted_rows(positions: Any, *columns: Any) -> Any:
    table = np.column_stack([np.asarray(positions, np.float64), *(np.asarray(c, np.float64) for c in columns)])
    return table[np.lexsort(table.T[::-1])]


@pytest.mark.parametrize("name", CASES)
def test_the_reference_finds_nothing_wrong(ours: dict[str, Written], name: str) -> None:
    said = ours[name].answers["check"]
    assert said["errors"] == []
    assert "PASS" in said["summary"]
    assert set(said["warnings"]) <= {"Point cloud but links array exists"}


@pytest.mark.parametrize("name", CASES)
def test_the_reference_reads_every_row(ours: dict[str, Written], name: str) -> None:
    everything = read_points(ours[name].store)
    data = arrays_of(CASES[name])
    assert_same_rows(ours[name].peer("all"), everything)
    np.testing.assert_array_equal(
        sorted_rows(everything.positions, everything["attributes"]["weights"], everything["attributes"]["label"]),
        sorted_rows(data["positions"], data["attributes"]["weights"], data["attributes"]["label"]),
    )


@pytest.mark.parametrize("name", UNDIFFERENTIATED)
def test_the_reference_finds_the_same_rows_in_a_box(ours: dict[str, Written], name: str) -> None:
    box = box_of(CASES[name])
    here = read_points(ours[name].store, bbox=box)
    data = arrays_of(CASES[name])
    inside = ((data["positions"] >= box[0][0]) & (data["positions"] < box[1][0])).all(axis=1)
    assert len(here) == inside.sum() > 20
    assert_same_rows(ours[name].peer("box"), here)


@pytest.mark.parametrize("name", WITH_OBJECTS)
def test_the_reference_reads_the_same_objects(ours: dict[str, Written], name: str) -> None:
    data = arrays_of(CASES[name])
    ids = data["object_ids"]
    for query, wanted in (("some", np.unique(ids)[[2, 5, 7]]), ("grouped", data["groups"][0])):
        found = ours[name].peer(query)
        rows = np.isin(ids, wanted)
        assert rows.sum() > 20
        np.testing.assert_array_equal(
            sorted_rows(found["positions"], found["object_ids"]),
            sorted_rows(data["positions"][rows], ids[rows]),
        )


@pytest.mark.parametrize("name", WITH_OBJECTS)
def test_the_reference_reads_the_same_tables(ours: dict[str, Written], name: str) -> None:
    data, tables = arrays_of(CASES[name]), ours[name].peer("tables")
    np.testing.assert_array_equal(tables["object_ids"], np.unique(data["object_ids"]))
    for attribute, values in data["object_attributes"].items():
        np.testing.assert_array_equal(tables[f"object:{attribute}"], values)
    np.testing.assert_array_equal(tables["group:region"], [5, 6, 7])
    assert ours[name].answers["read_tables"]["groups"] == list(data["groups"].values())


# What the reference writes: unsharded, sharded, compressed, with objects, and with its own coarse levels.
THEIRS = {
    "plain": (Case(), {}),
    "sharded": (Case(low=-70.5), {"shard_shape": 2}),
    "zstd": (Case(low=-70.5), {"shard_shape": 2, "compressor": "zstd"}),
    "flat-float64": (Case(ndim=2, dtype="float64"), {"dtype": "float64"}),
    "objects": (Case(objects=30, low=-20), {}),
    "objects-zstd": (Case(objects=30), {"compressor": "zstd"}),
    "pyramid": (Case(), {}),
    "objects-pyramid": (Case(objects=30), {}),
}
FOLDS = [[2.0, 1.0], [2.0, 1.0]]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, run_peer: Callable[..., list[Any]]) -> dict[str, Written]:
    """Stores written by the reference, with what it reads of them itself."""
    root = tmp_path_factory.mktemp("theirs")
    jobs: list[dict[str, Any]] = []
    for name, (case, options) in THEIRS.items():
        folder = root / name
        folder.mkdir()
        data = arrays_of(case)
        named = {f"attribute:{key}": values for key, values in data["attributes"].items()}
        named |= {f"object:{key}": values for key, values in data.get("object_attributes", {}).items()}
        named |= {f"group:{key}": values for key, values in data.get("group_attributes", {}).items()}
        if case.objects:
            named["object_ids"] = data["object_ids"]
        np.savez(folder / "in.npz", positions=data["positions"], **named)
        store = folder / "store.zv"
        jobs.append(
            {
                "do": "write",
                "store": store,
                "arrays": folder / "in.npz",
                "chunk_shape": [case.chunk] * case.ndim,
                "bin_shape": [case.chunk / case.bins] * case.ndim,
                "bounds": [[case.low - 1] * case.ndim, [case.low + 101] * case.ndim],
                "groups": list(data["groups"].values()) if case.objects else None,
                **options,
            }
        )
        levels = 1
        if "pyramid" in name:
            jobs.append({"do": "pyramid", "store": store, "factors": FOLDS})
            levels = 3
        for level in range(levels):
            reading = {"do": "read", "store": store, "level": level, "out": folder / f"level{level}.npz"}
            jobs.append(reading | ({"attributes": ATTRIBUTES} if level == 0 else {}))
    run_peer(jobs)
    return {name: Written(root / name / "store.zv", root / name, {}) for name in THEIRS}


@pytest.mark.parametrize("name", THEIRS)
def test_rows_of_the_reference_are_read(theirs: dict[str, Written], name: str) -> None:
    here = read_points(theirs[name].store)
    assert_same_rows(theirs[name].peer("level0"), here)
    data = arrays_of(THEIRS[name][0])
    assert set(here.attributes) >= set(data["attributes"])
    np.testing.assert_array_equal(
        sorted_rows(here.positions, here.attributes["weights"]),
        sorted_rows(data["positions"], data["attributes"]["weights"]),
    )


@pytest.mark.parametrize("name", THEIRS)
def test_boxes_of_the_reference_hold_what_is_inside(theirs: dict[str, Written], name: str) -> None:
    levels = range(3 if "pyramid" in name else 1)
    box = box_of(THEIRS[name][0])
    for level in levels:
        everything = read_points(theirs[name].store, level=level)
        here = read_points(theirs[name].store, level=level, bbox=box)
        inside = ((everything.positions >= box[0][0]) & (everything.positions < box[1][0])).all(axis=1)
        assert 0 < inside.sum() < len(everything)
        np.testing.assert_array_equal(here.positions, everything.positions[inside])
        for attribute, values in everything.attributes.items():
            np.testing.assert_array_equal(here.attributes[attribute], values[inside])


@pytest.mark.parametrize("name", [name for name in THEIRS if "pyramid" in name])
def test_levels_of_the_reference_are_read(theirs: dict[str, Written], name: str) -> None:
    counts = []
    for level in range(3):
        here, there = read_points(theirs[name].store, level=level), theirs[name].peer(f"level{level}")
        np.testing.assert_array_equal(sorted_rows(here.positions), sorted_rows(there["positions"]))
        counts.append(len(here))
    assert counts[0] > counts[1] > counts[2] > 0


@pytest.mark.parametrize("name", [name for name, (case, _) in THEIRS.items() if case.objects])
def test_objects_and_groups_of_the_reference_are_read(theirs: dict[str, Written], name: str) -> None:
    data = arrays_of(THEIRS[name][0])
    store, ids = theirs[name].store, data["object_ids"]
    everything = read_points(store)
    assert everything.object_ids is not None
    np.testing.assert_array_equal(
        sorted_rows(everything.positions, everything.object_ids), sorted_rows(data["positions"], ids)
    )
    some = read_points(store, object_ids=[3, 8])
    np.testing.assert_array_equal(
        sorted_rows(some.positions, some.object_ids),
        sorted_rows(data["positions"][np.isin(ids, [3, 8])], ids[np.isin(ids, [3, 8])]),
    )
    grouped = read_points(store, group_ids=1)
    rows = np.isin(ids, GROUPS[1])
    np.testing.assert_array_equal(
        sorted_rows(grouped.positions, grouped.object_ids), sorted_rows(data["positions"][rows], ids[rows])
    )
