"""Values of vertices and links that merge: exact, without what is missing, and as pandas has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.core.every_kind import KINDS, write_kind
from tests.graphs.networks import make_graph
from zarr_vectors import edit
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.multiresolution.aggregation import Merging, merge_columns, missing_sign, missing_values
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.multiresolution.cross_level import read_cross_level_links
from zarr_vectors.multiresolution.faces import contract_faces
from zarr_vectors.multiresolution.modes import default_mode, has_mode
from zarr_vectors.read.cells import read_chunks
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines
from zarr_vectors.validate import validate

REVISIONS = ("0.9", "0.7")
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
FLOATS = ["float16", "float32", "float64"]
SPECS: dict[str, AttributeSpec] = {
    **{name: AttributeSpec(dtype=name) for name in [*INTEGERS, *FLOATS, "bool"]},
    **{f"{name} with a fill": AttributeSpec(dtype=name, fill=np.iinfo(name).max) for name in INTEGERS},
    **{f"{name} with a fill": AttributeSpec(dtype=name, fill=-999.0) for name in FLOATS},
    "int16 with a fill amid": AttributeSpec(dtype="int16", fill=3),
    "datetime64": AttributeSpec(dtype="int64", encoding="datetime64", time_unit="ns"),
    "timedelta64": AttributeSpec(dtype="int64", encoding="timedelta64", time_unit="s"),
    "dictionary": AttributeSpec(dtype="int8", encoding="dictionary", categories=tuple("abcdef"), fill=-1),
}
MODES = ("mean", "sum", "min", "max", "mode", "count")


def merging_of(groups: Any) -> Merging:
    """Merge rows by group; rows of one group lie apart, as those of a coarse bin do."""
    starts = np.flatnonzero(np.append(True, np.diff(groups) != 0))
    return Merging(starts, np.diff(np.append(starts, len(groups))), groups[starts], int(groups.max()) + 1)


def expected_of(values: Any, missing: Any, groups: Any, mode: str) -> list[Any]:
    """Aggregate with pandas, whole numbers with Python's own; None where nothing is left."""
    left = pd.Series(values.astype(object)[~missing]).groupby(groups[~missing])
    whole = values.dtype.kind != "f"
    of = {
        "mean": lambda s: _rounded(sum(s), len(s)) if whole else float(np.mean(s.astype(float))),
        "sum": lambda s: sum(map(int, s)) if whole else float(np.sum(s.astype(float))),
        "min": min,
        "max": max,
        "mode": lambda s: s.iloc[list(map(list(s).count, s)).index(max(map(list(s).count, s)))],
    }
    made = {"count": pd.Series(groups).groupby(groups).size} if mode == "count" else {mode: lambda: left.agg(of[mode])}
    return [made[mode]().to_dict().get(group) for group in range(groups.max() + 1)]


def _rounded(total: int, count: int) -> int:
    low, rest = divmod(int(total), count)
    return low + (2 * rest > count or (2 * rest == count and low % 2 == 1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", list(SPECS))
def test_every_type_and_mode_is_as_pandas_has_it(kind: str, mode: str) -> None:
    if not has_mode(SPECS[kind], mode):
        pytest.skip("there is no such mode")
    for missing in ("none", "some", "all of a group"):
        check_column(kind, mode, missing)


def check_column(kind: str, mode: str, missing: str) -> None:
    """Compare the values of one type that merge, of which some are missing, with what pandas makes of them."""
    spec, rng = SPECS[kind], np.random.default_rng(len(kind))
    groups = np.sort(np.arange(120) % 17)[np.argsort(np.arange(120) // 3 % 5, kind="stable")]
    groups = np.unique(groups, return_inverse=True)[1]
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iu" and spec.categories is None and spec.encoding is None:
        span = np.iinfo(dtype).max // 64
        values = rng.choice(np.append(rng.integers(-span if dtype.kind == "i" else 0, span, 4), [0, 1]), 120)
    else:
        values = rng.integers(0, 6, 120) * (1 if spec.categories or dtype.kind == "b" else 1.5)
    values = values.astype(dtype)
    gone = np.zeros(120, bool)
    sign = missing_sign(spec)
    if missing != "none" and (sign is not None or dtype.kind == "f"):
        gone = (rng.random(120) < 0.3) | ((groups == 4) if missing == "all of a group" else False)
        values[gone] = np.nan if sign is None else sign
    if sign is not None:
        gone |= values == sign
    made = merge_columns({"v": Column(values, spec)}, merging_of(groups), {"v": mode})["v"]
    assert made.values.dtype == made.spec.numpy_dtype
    assert made.spec.aggregation == mode
    if mode == "sum":
        assert made.spec.dtype == {"f": "float64", "u": "uint64"}.get(dtype.kind, "int64")
    empty = missing_values(made)
    empty = np.zeros(len(made), bool) if empty is None else empty
    for row, wanted in enumerate(expected_of(values, gone, groups, mode)):
        if wanted is None:
            assert empty[row]
        elif kind == "int16 with a fill amid" and wanted == 3 and mode == "mean":
            assert made.values[row] == 4  # 3 means missing: the nearest that does not
        else:
            assert not empty[row]
            assert made.values[row] == pytest.approx(wanted, rel=float(np.finfo(dtype).eps) if dtype.kind == "f" else 0)


def test_whole_numbers_of_any_size_have_exact_means() -> None:
    merging = merging_of(np.zeros(3, np.int64))
    for dtype, numbers in (("uint64", [2**64 - 1, 2**64 - 3, 2**64 - 4]), ("int64", [-(2**63), 2**63 - 1, 2**63 - 2])):
        column = Column(np.array(numbers, dtype), AttributeSpec(dtype=dtype))
        made = merge_columns({"v": column}, merging, {"v": "mean"})["v"]
        assert int(made.values[0]) == _rounded(sum(numbers), 3)


def test_sums_and_means_of_floats_do_not_leave_their_range() -> None:
    merging = merging_of(np.zeros(4, np.int64))
    half = Column(np.full(4, 60000, np.float16), AttributeSpec(dtype="float16"))
    made = {mode: merge_columns({"v": half}, merging, {"v": mode})["v"].values[0] for mode in ("sum", "mean")}
    assert made == {"sum": 240000.0, "mean": 60000.0}
    huge = Column(np.full(4, 1.5e308), AttributeSpec(dtype="float64"))
    assert merge_columns({"v": huge}, merging, {"v": "mean"})["v"].values[0] == 1.5e308
    with pytest.raises(ArgumentError, match=r"'v'.*float64"):
        merge_columns({"v": huge}, merging, {"v": "sum"})


def test_of_equally_frequent_values_the_first_stands() -> None:
    groups = np.array([0, 0, 1, 1, 1, 0, 0])
    for values in ([9, 2, 7, 1, 4, 2, 9], [9e18, 2, 7e18, 1, 4, 2, 9e18]):
        column = Column(np.array(values, np.uint64), AttributeSpec(dtype="uint64"))
        made = merge_columns({"v": column}, merging_of(groups), {"v": "mode"})["v"]
        assert made.values.tolist() == [values[0], values[2]]


def test_the_mode_of_integers_does_not_drift() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, 30_000).astype(np.uint8)
    merging = merging_of(np.arange(30_000) // 6)
    made = merge_columns({"v": Column(values, AttributeSpec(dtype="uint8"))}, merging, {"v": "mode"})["v"]
    assert abs(made.values.mean() - values.mean()) < 3


@pytest.mark.parametrize("apart", [False, True])
def test_a_colour_is_one(apart: bool) -> None:
    red, blue, mixed = [9, 0, 0], [0, 0, 9], [9, 0, 9]
    rows = np.array([mixed, red, red, blue, mixed, blue, blue], np.uint8)  # by channel, the mode would be 9, 0, 9
    spec = AttributeSpec(dtype="uint8", channel_names=("red", "green", "blue"))
    columns = {"color": Column(rows, spec)}
    if apart:
        columns = {
            name: Column(rows[:, c], AttributeSpec(dtype="uint8")) for c, name in enumerate(("red", "green", "blue"))
        }
    made = merge_columns(columns, merging_of(np.zeros(7, np.int64)), dict.fromkeys(columns, "mode"))
    assert np.hstack([column.values.reshape(1, -1) for column in made.values()]).tolist() == [blue]


def test_channels_that_cannot_be_missing_keep_their_values_where_the_colour_lacks_another() -> None:
    names = ("red", "green", "blue")
    rows = np.array([[1, 2, 3], [0, 5, 5], [1, 2, 3], [0, 7, 9], [0, 7, 9], [0, 8, 9]], np.uint8)
    specs = [AttributeSpec(dtype="uint8", fill=fill) for fill in (0, None, None)]
    columns = {name: Column(rows[:, c], spec) for c, (name, spec) in enumerate(zip(names, specs, strict=True))}
    made = merge_columns(columns, merging_of(np.array([0, 0, 0, 1, 1, 1])), dict.fromkeys(names, "mode"))
    assert np.stack([made[name].values for name in names], axis=1).tolist() == [[1, 2, 3], [0, 7, 9]]


def test_channels_of_a_colour_are_missing_together() -> None:
    rows = np.array([[1.0, 2, 3], [3, np.nan, 5], [5, 4, 5]])
    colour = Column(rows, AttributeSpec(dtype="float64", channel_names=("r", "g", "b")))
    other = Column(rows, AttributeSpec(dtype="float64", channel_names=("x", "y", "z")))
    made = merge_columns({"c": colour, "v": other}, merging_of(np.zeros(3, np.int64)), {"c": "mean", "v": "mean"})
    assert made["c"].values.tolist() == [[3, 3, 4]]
    np.testing.assert_allclose(made["v"].values, [[3, 3, 13 / 3]])


@pytest.mark.parametrize(
    ("name", "spec", "mode"),
    [
        ("intensity", AttributeSpec(dtype="uint16"), "mean"),
        ("cell_size", AttributeSpec(dtype="int32"), "mean"),
        ("speed", AttributeSpec(dtype="float16"), "mean"),
        ("label", AttributeSpec(dtype="float32"), "mean"),
        ("when", SPECS["datetime64"], "mean"),
        ("rgb", AttributeSpec(dtype="uint8", channel_names=("ch0", "ch1", "ch2")), "mean"),
        ("label", AttributeSpec(dtype="int64"), "mode"),
        ("segment_id", AttributeSpec(dtype="uint64"), "mode"),
        ("cellTypes", AttributeSpec(dtype="uint8"), "mode"),
        ("number_of_returns", AttributeSpec(dtype="uint8"), "mode"),
        ("classification", AttributeSpec(dtype="uint8"), "mode"),
        ("flag", AttributeSpec(dtype="bool"), "mode"),
        ("intensity", SPECS["dictionary"], "mode"),
        ("spike_count", AttributeSpec(dtype="int32"), "sum"),
        ("counts", AttributeSpec(dtype="uint16"), "sum"),
    ],
)
def test_the_default_is_what_suits_an_attribute(name: str, spec: AttributeSpec, mode: str) -> None:
    assert default_mode(name, spec) == mode


COLUMNS = {
    "mean": (lambda rng, n: np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)).astype(np.float32), "mean"),
    "when": (lambda rng, n: np.where(rng.random(n) < 0.3, np.datetime64("NaT"), _days(rng, n)), "mean"),
    "text": (lambda rng, n: np.where(rng.random(n) < 0.3, None, rng.choice(list("abc"), n)), "mode"),
    "whole": (lambda rng, n: pd.array(rng.choice([2**62 + 1, 2**62 + 8, 2**61, None], n), "Int64"), "mean"),
    "total": (lambda rng, n: np.ma.masked_less(rng.integers(0, 255, n).astype(np.uint8), 60), "sum"),
}


def _days(rng: Any, n: int) -> Any:
    return np.datetime64("2020-01-01", "s") + rng.integers(0, 10**7, n)


@pytest.mark.parametrize(
    ("kind", "revision"),
    [*((kind, "0.9") for kind in KINDS), ("points", "0.7"), ("graph", "0.7")],
)
def test_levels_of_every_kind_leave_out_what_is_missing(tmp_path: Path, kind: str, revision: str) -> None:
    path, rng = tmp_path / "a.zv", np.random.default_rng(3)
    write_kind(kind, path, format_version=revision)
    count = open_reader(path).level(0).metadata.vertex_count
    if kind.endswith("polylines"):
        count = len(read_polylines(path).positions)  # without what is stored twice
    for name, (make, _) in COLUMNS.items():
        edit.set_attribute(path, name, make(rng, count))
    modes = {name: mode for name, (_, mode) in COLUMNS.items()}
    build_pyramid(path, [(2, 1), (8, 1)], agg_mode=modes, cross_level_storage="implicit", cross_level_depth=2)
    check_vertices(path, modes)
    report = validate(path, level=5)
    assert report.is_valid, report.summary()


def check_vertices(path: Path, modes: dict[str, str]) -> None:
    """Compare coarse levels with what pandas makes of the vertices that joined each metavertex."""
    store = open_reader(path)
    fine = read_all(store, 0)
    for number in (1, 2):
        coarse = read_all(store, number)
        up = read_cross_level_links(path, 0, number)
        groups = np.unique(up[:, 1], return_inverse=True)[1]
        for name, mode in modes.items():
            column = fine[name].take(up[:, 0])
            gone = missing_values(column)
            gone = np.zeros(len(column), bool) if gone is None else gone
            found = coarse[name].take(np.unique(up[:, 1]))
            assert found.spec.aggregation == mode
            empty = missing_values(found)
            wanted = expected_of(column.values, gone, groups, mode)
            none = np.array([one is None for one in wanted])
            assert none.tolist() == ([False] * len(none) if empty is None else empty.tolist())
            rows = np.flatnonzero(~none)
            if mode == "mode":  # any of the most frequent
                tally = pd.crosstab(groups[~gone], column.values[~gone])
                assert all(tally.loc[row, found.values[row]] == tally.loc[row].max() for row in rows)
            else:
                eps = np.finfo(found.values.dtype).eps if found.values.dtype.kind == "f" else 0
                np.testing.assert_allclose(found.values[rows], [wanted[row] for row in rows], rtol=eps, atol=eps)


def read_all(store: Any, number: int) -> dict[str, Column]:
    level = store.level(number)
    return dict(read_chunks(level, np.arange(len(level.chunks)), fragment_attributes=False).attributes)


@pytest.mark.parametrize("revision", REVISIONS)
def test_links_leave_out_what_is_missing_and_are_made_again_alike(tmp_path: Path, revision: str) -> None:
    path, rng = tmp_path / "a.zv", np.random.default_rng(1)
    positions, pairs = make_graph(80, 900, 2)
    weight = np.where(rng.random(len(pairs)) < 0.4, np.nan, rng.normal(size=len(pairs)))
    values = {"weight": weight, "flow": rng.integers(0, 9, len(pairs))}
    write_graph(path, positions, pairs, chunk_shape=40, bin_shape=20, edge_attributes=values, format_version=revision)
    build_pyramid(path, [(2, 1)], agg_mode={"weight": "min", "flow": "sum"}, cross_level_storage="implicit")

    def check() -> None:
        fine, coarse = read_graph(path), read_graph(path, level=1)
        up = read_cross_level_links(path, 0, 1)
        mapped = np.sort(up[np.argsort(up[:, 0]), 1][fine.edges], axis=1)
        names = [f"{a}-{b}" for a, b in mapped.tolist()]
        least = pd.Series(fine.edge_attributes["weight"]).groupby(names).min()
        total = pd.Series(fine.edge_attributes["flow"]).groupby(names).sum()
        made = [f"{a}-{b}" for a, b in np.sort(coarse.edges, axis=1).tolist()]
        np.testing.assert_array_equal(coarse.edge_attributes["weight"], least[made])
        np.testing.assert_array_equal(coarse.edge_attributes["flow"], total[made])
        assert np.isnan(coarse.edge_attributes["weight"]).sum() < len(coarse.edges) / 2

    check()
    edit.set_attribute(path, "flow", rng.integers(0, 9, len(pairs)), kind="edge")
    edit.refresh_levels(path)
    check()


def test_faces_that_merge_leave_out_what_is_missing() -> None:
    faces = np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1]])
    weight = Column(np.array([np.nan, 2.0, 4.0]), AttributeSpec(dtype="float64"))
    left, columns = contract_faces(faces, {"weight": weight}, {"weight": "mean"})
    assert len(left) == 3
    assert columns["weight"].values.tolist() == [3.0] * 3


@pytest.mark.parametrize("mode", ["sum", "mean", "min", "max"])
def test_booleans_are_aggregated_alike_with_missing_ones_among_them(tmp_path: Path, mode: str) -> None:
    positions = np.array([[1.0] * 3] * 4 + [[8.5] * 3])
    given: dict[str, Any] = {"whole": [True, True, False, True, True], "some": [True, True, False, True, None]}
    write_points(tmp_path / "s", positions, attributes=given, bounds=([0] * 3, [9] * 3), chunk_shape=16, bin_shape=4)
    build_pyramid(tmp_path / "s", [(2, 1)], agg_mode=mode)
    found = read_points(tmp_path / "s", level=1)
    whole, some = (found.attributes[name][found.positions[:, 0].argsort()] for name in given)
    assert some.dtype == whole.dtype
    assert some.tolist() == [whole.tolist()[0], None]


def test_an_aggregation_that_values_do_not_have_is_refused_where_it_is_written(tmp_path: Path) -> None:
    for values, mode in ((["a", "b"], "mean"), (pd.Categorical([1, 2]), "sum"), (np.zeros(2, "M8[s]"), "sum")):
        with pytest.raises(ArgumentError, match=f"attribute_specs: aggregation of 'v': .* no '{mode}'"):
            write_points(
                tmp_path / "s",
                np.ones((2, 3)),
                attributes={"v": values},
                attribute_specs={"v": {"aggregation": mode}},
            )
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_mode_of_an_attribute_is_stated_and_kept(tmp_path: Path, revision: str) -> None:
    path, rng = tmp_path / "a.zv", np.random.default_rng(0)
    values = {"intensity": rng.integers(0, 200, 900), "kind_of_tree": rng.integers(0, 9, 900), "level": np.arange(900)}
    specs = {"level": {"aggregation": "max"}}
    positions = rng.uniform(0, 100, (900, 3))
    write_points(
        path, positions, attributes=values, attribute_specs=specs, chunk_shape=50, bin_shape=10, format_version=revision
    )
    build_pyramid(path, [(2, 1)])
    stated = {"intensity": "mean", "kind_of_tree": "mode", "level": "max"}

    def modes() -> dict[str, str | None]:
        arrays = open_reader(path).level(1).arrays.vertex_attributes
        return {name: array.spec.aggregation for name, array in arrays.items()}

    assert modes() == stated
    build_pyramid(path, [(2, 1)], agg_mode={"intensity": "min", "level": "sum"}, overwrite=True)
    assert modes() == {**stated, "intensity": "min", "level": "sum"}
    edit.set_attribute(path, "intensity", values["intensity"] + 1, refresh=True)
    assert modes() == {**stated, "intensity": "min", "level": "sum"}
    assert read_points(path, level=1).attributes["intensity"].min() == 1
    build_pyramid(path, [(2, 1)], agg_mode="mean", overwrite=True)
    assert modes() == {**stated, "kind_of_tree": "mean", "level": "mean"}


def test_what_is_said_to_hold_labels_is_left_alone_by_a_mode_for_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    when = np.datetime64("2020-01-01", "s") + rng.integers(0, 10**6, 500)
    values = {"zone": rng.integers(0, 9, 500), "depth": rng.integers(0, 9, 500), "when": when}
    write_points(
        tmp_path / "a",
        rng.uniform(0, 100, (500, 3)),
        attributes=values,
        attribute_specs={"zone": {"aggregation": "mode"}},
        chunk_shape=50,
        bin_shape=10,
    )
    build_pyramid(tmp_path / "a", [(2, 1)], agg_mode="sum")
    arrays = open_reader(tmp_path / "a").level(1).arrays.vertex_attributes
    assert {name: arrays[name].spec.aggregation for name in values} == {"zone": "mode", "depth": "sum", "when": "mean"}
    with pytest.raises(ArgumentError, match="'when' holds dates"):
        build_pyramid(tmp_path / "a", [(2, 1)], agg_mode={"when": "sum"}, overwrite=True)
    with pytest.raises(ArgumentError, match="aggregation of 'zone'"):
        write_points(
            tmp_path / "b",
            np.zeros((1, 3)),
            attributes={"zone": [1]},
            attribute_specs={"zone": {"aggregation": "median"}},
        )


def test_validation_names_levels_that_were_blanked_by_one_missing_value(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(600) < 0.05, np.nan, 1.0)
    write_points(tmp_path / "a", rng.uniform(0, 100, (600, 2)), attributes={"v": values}, chunk_shape=100, bin_shape=10)
    build_pyramid(tmp_path / "a", [(5, 1)])
    assert validate(tmp_path / "a", level=5).is_valid
    edit.set_attribute(tmp_path / "a", "v", np.full(4, np.nan), level=1)
    report = validate(tmp_path / "a", level=5)
    assert [problem.check for problem in report.errors] == ["aggregates"]


def test_objects_whose_value_is_missing_go_first(tmp_path: Path) -> None:
    ids = np.repeat(np.arange(6), 5)
    positions = np.random.default_rng(0).uniform(0, 50, (30, 3))
    weights = pd.array([2**60, None, 2**60 + 2, 2**60 + 1, None, 2**60 - 1], "Int64")
    more: Any = {"object_ids": ids, "object_attributes": {"weight": weights}}
    write_points(tmp_path / "a", positions, chunk_shape=50, bin_shape=10, **more)
    build_pyramid(tmp_path / "a", [(1, 1.5), (1, 3)], sparsity_strategy="attribute:weight")
    kept = [set(read_points(tmp_path / "a", level=level).object_ids) for level in (1, 2)]
    assert kept == [{0, 2, 3, 5}, {2, 3}]
