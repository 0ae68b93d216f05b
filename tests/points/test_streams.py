"""Points written from batches: the store of one call, within a budget of memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_vectors.core.store import create_store
from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, StoreExistsError
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.types.point_streams import write_points_stream
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])


def contents(path: Any) -> dict[str, bytes]:
    """Return every object of a store."""
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in Path(path).rglob("*") if file.is_file()}


def cloud(count: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "positions": rng.normal(0, 40, (count, 3)),
        "attributes": {
            "heat": rng.random(count),
            "class": rng.integers(0, 5, count).astype("u1"),
            "kind": rng.choice(["oak", "ash", "élm", "x"], count),
            "rgb": rng.integers(0, 255, (count, 3)).astype("u2"),
            "when": np.datetime64("2026-01-01", "s") + rng.integers(0, 10**6, count),
            "flag": rng.random(count) < 0.5,
        },
        "object_ids": rng.integers(-3, 20, count) * 7,
    }


def cut(whole: dict[str, Any], cuts: list[int], *names: str) -> Iterator[dict[str, Any]]:
    """Give a cloud as batches that end at some rows."""
    count = len(whole["positions"])
    edges = [0, *sorted(min(c, count) for c in cuts), count]
    for a, b in pairwise(edges):
        batch = {name: whole[name][a:b] for name in ("positions", *names) if name != "attributes"}
        if "attributes" in names:
            batch["attributes"] = {name: values[a:b] for name, values in whole["attributes"].items()}
        yield batch


@pytest.mark.filterwarnings("ignore::zarr_vectors.exceptions.PrecisionWarning")
@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(0, 200), max_size=6),
    budget=st.integers(1, 20_000),
    objects=st.booleans(),
    revision=st.sampled_from(["0.9", "0.7"]),
    more=st.sampled_from(
        [
            {},
            {"chunk_shape": 90, "bin_shape": 30, "keep_order": True},
            {"bounds": ([-30] * 3, [30] * 3), "out_of_bounds": "ignore"},
            {"bounds": ([-30] * 3, [30] * 3), "out_of_bounds": "expand", "chunk_shape": 75},
            {"chunk_by_attribute": "kind", "chunk_shape": 100, "dtype": "f8"},
            {"chunk_by_attribute": "class", "chunk_shape": 200},
        ]
    ),
)
def test_batches_make_the_store_of_one_call(
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
    budget: int,
    objects: bool,
    revision: str,
    more: dict[str, Any],
) -> None:
    folder, whole = tmp_path_factory.mktemp("s"), cloud(200)
    names = ("attributes", "object_ids") if objects else ("attributes",)
    options = {
        "format_version": revision,
        "attribute_specs": {"heat": {"unit": "kelvin"}},
        "metadata": {"by": 1},
        **more,
    }
    if objects:
        ids = np.unique(whole["object_ids"])
        options |= {"object_attributes": {"size": np.arange(len(ids))}, "groups": {"a": ids[:2]}}
    batches = cut(whole, cuts, *names)
    streamed = write_points_stream(folder / "s" / "cloud", batches, memory_budget=budget, **options)
    at_once = write_points(folder / "w" / "cloud", **{n: whole[n] for n in ("positions", *names)}, **options)
    assert streamed == at_once
    assert contents(folder / "s" / "cloud") == contents(folder / "w" / "cloud")


@REVISIONS
def test_memory_stays_within_the_budget(tmp_path: Path, revision: str) -> None:
    budget, rows, count = 4 << 20, 50_000, 30

    def batches() -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng(1)
        for number in range(count):
            yield {"positions": rng.uniform(0, 100, (rows, 3)), "attributes": {"t": np.full(rows, number, "f8")}}

    taken = rows * count * 32
    tracemalloc.start()
    try:
        summary = write_points_stream(
            tmp_path / "s",
            batches(),
            memory_budget=budget,
            dtype="f8",
            chunk_shape=20,
            shard_shape=None,
            compressor=None,
            format_version=revision,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken > 11 * budget
    assert peak < 4 * budget, (peak, budget, taken)
    assert summary.vertex_count == rows * count
    assert len(list(tmp_path.iterdir())) == 1
    read = read_points(tmp_path / "s", attribute_filter={"t": 7.0})
    assert read.vertex_count == rows


def test_arrays_alone_are_batches(tmp_path: Path) -> None:
    write_points_stream(tmp_path / "s", [np.zeros((0, 2)), np.ones((3, 2)), [[0.5, 0.25]]], chunk_shape=1)
    assert read_points(tmp_path / "s").vertex_count == 4
    assert validate(tmp_path / "s", level=5).is_valid


def test_categories_of_batches_are_those_of_all(tmp_path: Path) -> None:
    sizes = pd.CategoricalDtype(["small", "large"], ordered=True)
    parts = [["large", None], ["small", "small"]]
    batches = [
        {"positions": np.zeros((2, 3)), "attributes": {"size": pd.Categorical(part, dtype=sizes)}} for part in parts
    ]
    write_points_stream(tmp_path / "s", batches, chunk_shape=1)
    read = read_points(tmp_path / "s")
    assert read.categories["size"] == (("small", "large"), True)
    assert read.attributes["size"].tolist() == ["large", None, "small", "small"]
    other = pd.CategoricalDtype(["small", "huge"], ordered=True)
    batches.append({"positions": np.zeros((1, 3)), "attributes": {"size": pd.Categorical(["huge"], dtype=other)}})
    with pytest.raises(ArgumentError, match=r"batch 2.*ordered categories"):
        write_points_stream(tmp_path / "t", batches)


SIZES = pd.CategoricalDtype(["small", "large"], ordered=True)
DAYS = np.array(["2020-01-01", "2021-01-01"], "M8[ns]")
MANY = [f"{n:03}" for n in range(128)]
LATER: dict[str, tuple[Any, Any]] = {
    "texts after categories": (pd.Categorical(["b", "c"]), ["a", None]),
    "more texts than a byte counts": (pd.Categorical(MANY), ["new"]),
    "texts after ordered categories": (pd.Categorical(["large", "small"], dtype=SIZES), ["small", None]),
    "categories after texts": (["b", "c"], pd.Categorical(["d", "b"])),
    "nothing after integers": (np.arange(2, dtype=np.uint8), [None, None]),
    "nothing after times": (DAYS, [None, None]),
    "nothing after booleans": ([True, False], [None, None]),
    "nothing after floats": ([1.5, 2.5], [None, None]),
    "nothing after numbers as categories": (pd.Categorical([3, 1]), [None, None]),
    "wide integers after narrow": (np.arange(2, dtype=np.uint8), [7, None]),
    "integers after floats": ([1.5, 2.5], [7, 8]),
    "times of another unit": (DAYS, DAYS.astype("M8[D]")),
}


@pytest.mark.parametrize("case", list(LATER))
def test_later_batches_may_have_what_appending_takes(tmp_path: Path, case: str) -> None:
    parts = [{"positions": np.zeros((len(v), 3)), "attributes": {"v": v}} for v in LATER[case]]
    write_points_stream(tmp_path / "s", parts, bounds=([0] * 3, [1] * 3), chunk_shape=1)
    write_points(tmp_path / "a", **parts[0], bounds=([0] * 3, [1] * 3), chunk_shape=1)
    write_points(tmp_path / "a", **parts[1], mode="a")
    streamed, appended = read_points(tmp_path / "s"), read_points(tmp_path / "a")
    found, wanted = streamed.attributes["v"], appended.attributes["v"]
    assert (type(found), found.dtype) == (type(wanted), wanted.dtype)
    assert pd.Series(found.tolist(), dtype=object).equals(pd.Series(wanted.tolist(), dtype=object))
    assert streamed.categories.get("v") == appended.categories.get("v")


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (pd.Categorical(["large", "small"], dtype=SIZES), ["huge"]),
        (pd.Categorical(["a"]), pd.Categorical([1])),
        ([None, None], [1, 2]),
        (np.arange(2, dtype=np.uint8), [300, None]),
    ],
)
def test_what_no_later_batch_may_have_is_refused_with_a_remedy(tmp_path: Path, first: Any, later: Any) -> None:
    parts = [{"positions": np.zeros((len(v), 3)), "attributes": {"v": v}} for v in (first, later)]
    with pytest.raises(ArgumentError, match=r"batch 1: attributes: 'v' .* The first batch says how 'v' is stored"):
        write_points_stream(tmp_path / "s", parts)
    assert not (tmp_path / "s").exists()


def test_a_shell_lends_its_bounds(tmp_path: Path) -> None:
    create_store(tmp_path / "s", chunk_shape=(5, 5, 5), bounds=([0] * 3, [10] * 3))
    with pytest.raises(OutOfBoundsError, match=r"batch 1: 1 of 2 .* row 1 is"):
        write_points_stream(tmp_path / "s", [np.ones((2, 3)), [[1, 1, 1], [11, 1, 1]]])
    summary = write_points_stream(tmp_path / "s", [np.ones((2, 3)), np.full((2, 3), 9.0)])
    assert (summary.vertex_count, summary.chunk_shape) == (4, (5.0, 5.0, 5.0))


GOOD = {"positions": np.zeros((2, 3)), "attributes": {"a": np.zeros(2)}}
BAD: dict[str, Any] = {
    "columns": np.zeros((2, 2)),
    "shape": np.zeros(3),
    "not finite": {**GOOD, "positions": np.full((2, 3), np.nan)},
    "key": {**GOOD, "colour": 1},
    "no positions": {"attributes": {}},
    "missing attribute": {"positions": np.zeros((2, 3))},
    "another type": {**GOOD, "attributes": {"a": np.full(2, 2**53 + 1)}},
    "channels": {**GOOD, "attributes": {"a": np.zeros((2, 2))}},
    "rows": {**GOOD, "attributes": {"a": np.zeros(3)}},
    "text": {**GOOD, "attributes": {"a": ["x", "y"]}},
    "object ids": {**GOOD, "object_ids": [0, 1]},
}


@REVISIONS
@pytest.mark.parametrize("bad", list(BAD))
def test_a_batch_that_is_refused_leaves_nothing_behind(tmp_path: Path, revision: str, bad: str) -> None:
    (tmp_path / "temporary").mkdir()

    def write(path: Path) -> None:
        write_points_stream(
            path, [GOOD, GOOD, BAD[bad]], temporary_folder=tmp_path / "temporary", format_version=revision
        )

    with pytest.raises(ArgumentError, match="batch 2"):
        write(tmp_path / "new")
    assert [one.name for one in tmp_path.iterdir()] == ["temporary"]
    write_points(tmp_path / "old", np.ones((4, 3)))
    before = contents(tmp_path / "old")
    with pytest.raises(ArgumentError, match="batch 2"):
        write(tmp_path / "old")
    assert contents(tmp_path / "old") == before
    assert not list((tmp_path / "temporary").iterdir())


def test_an_iterator_that_fails_leaves_the_old_store(tmp_path: Path) -> None:
    write_points(tmp_path / "s", np.ones((4, 3)))
    before = contents(tmp_path / "s")

    def batches() -> Iterator[Any]:
        yield np.zeros((3, 3))
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        write_points_stream(tmp_path / "s", batches())
    assert contents(tmp_path / "s") == before
    assert not resolve_storage(str(tmp_path / "s")).list_all(".zv-lock")


def test_arguments_that_cannot_be_used(tmp_path: Path) -> None:
    path, one = tmp_path / "s", [np.zeros((2, 3))]
    for batches in (np.zeros((2, 3)), GOOD, 5, []):
        with pytest.raises(ArgumentError, match="batches"):
            write_points_stream(path, batches)
    for budget in (0, 1.5, True, "1MB"):
        with pytest.raises(ArgumentError, match="memory_budget"):
            write_points_stream(path, one, memory_budget=budget)
    with pytest.raises(ArgumentError, match="temporary_folder"):
        write_points_stream(path, one, temporary_folder=tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match="attribute_specs"):
        write_points_stream(path, one, attribute_specs={"a": {"unit": "m"}})
    with pytest.raises(ArgumentError, match="chunk_by_attribute"):
        write_points_stream(path, one, chunk_by_attribute="a")
    with pytest.raises(ArgumentError, match="object_attributes"):
        write_points_stream(path, one, object_attributes={"a": [1]})
    assert not list(tmp_path.iterdir())
    write_points_stream(path, one, mode="a")
    with pytest.raises(ArgumentError, match="mode"):
        write_points_stream(path, one, mode="a")
    with pytest.raises(StoreExistsError):
        write_points_stream(path, one, mode="w-")
