"""What rechunking refuses, with what it says, and what bins it makes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from zarr_vectors import ArgumentError, RechunkSpec, StoreExistsError, StoreNotFoundError, rebin_store, rechunk
from zarr_vectors.cli.app import app
from zarr_vectors.edit import append_vertices
from zarr_vectors.rechunking.binning import Values, quarters
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

from .stores import assert_same, contents, make


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "space"}, "by: expected 'spatial', 'group', 'object_id' or 'attribute:<name>', got 'space'"),
        ({"by": "attribute:"}, "by: expected"),
        ({"by": "object_id", "bins": [1, 1]}, r"bins: edges must be increasing, got \[1.0, 1.0\]"),
        ({"by": "object_id", "bins": []}, "bins: expected a list of finite numbers"),
        ({"by": "object_id", "bins": [0, float("nan")]}, "bins: expected a list of finite numbers"),
        ({"by": "group", "bins": [1]}, "bins: by='group' has no edges"),
        ({"by": "group", "prefix_dim_name": ""}, "prefix_dim_name: expected a name"),
    ],
)
def test_a_spec_that_means_nothing_is_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        RechunkSpec(**arguments)


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("points", RechunkSpec("group"), "by='group': .* has no objects"),
        ("points", RechunkSpec("object_id"), "by='object_id': .* has no objects"),
        (
            "points",
            RechunkSpec("attribute:no"),
            r"no attribute 'no'; objects have \[\], vertices have \['few', 'label'",
        ),
        ("points", RechunkSpec("attribute:rgb", bins=[0, 5]), "has 3 channels"),
        ("points", RechunkSpec("attribute:label", bins=[0.0]), "bins: the values of .* are not numbers"),
        ("graph", RechunkSpec("group"), "by='group': .* has no groups"),
        ("points", RechunkSpec("spatial", spatial_chunk_shape=(10, 10)), "spatial_chunk_shape: expected a number or 3"),
        ("points", RechunkSpec("spatial", spatial_chunk_shape=(10, 10, -1)), "spatial_chunk_shape must be positive"),
        ("points", RechunkSpec("attribute:few", prefix_dim_name="y"), "prefix_dim_name: 'y' is an axis"),
    ],
)
def test_what_a_store_does_not_have_is_named(tmp_path, kind, spec, message):
    source = make(kind, tmp_path / "a", "0.9", pyramid=False)
    before = contents(source)
    for output in (None, tmp_path / "b"):
        with pytest.raises(ArgumentError, match=message):
            rechunk(source, spec, output)
    assert_same(before, contents(source))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


def test_places_that_cannot_be_used(tmp_path):
    source = make("points", tmp_path / "a", "0.9", pyramid=False)
    other = make("points", tmp_path / "b", "0.9", pyramid=False, seed=1)
    spec = RechunkSpec("spatial", spatial_chunk_shape=20.0)
    with pytest.raises(StoreExistsError, match=r"a store is at .* already; pass overwrite=True"):
        rechunk(source, spec, other)
    with pytest.raises(StoreExistsError, match=r"is the source; leave output out"):
        rechunk(source, spec, source)
    with pytest.raises(StoreNotFoundError):
        rechunk(tmp_path / "none", spec)
    rechunk(source, spec, other, overwrite=True)
    assert_same(contents(source), contents(other))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"memory_budget": 0}, "memory_budget: expected a number of bytes"),
        ({"memory_budget": "1 GB"}, "memory_budget: expected a number of bytes"),
        ({"temporary_folder": "/does/not/exist"}, "temporary_folder: /does/not/exist is not a folder"),
        ({"progress": 3}, "progress: expected a function"),
    ],
)
def test_options_that_cannot_be_used(tmp_path, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        rechunk(tmp_path / "a", RechunkSpec("spatial"), **arguments)


def test_bins_that_do_not_fit_coarse_levels(tmp_path):
    source = make("points", tmp_path / "a", "0.9")
    with pytest.raises(ArgumentError, match=r"bin_shape: bins of .* at level 0 would be larger than those of level 1"):
        rebin_store(source, 40.0)
    with pytest.raises(ArgumentError, match="bin_shape must divide chunk_shape"):
        rebin_store(source, 7.0)
    with pytest.raises(ArgumentError, match="give a new bin_shape"):
        rebin_store(source)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60))
def test_quarters_of_numbers_that_come_in_parts(values):
    numbers = np.array(values)
    known = np.sort(numbers[~np.isnan(numbers)])
    edges = quarters(lambda: iter([numbers[:7], numbers[7:]]))
    if len(known) == 0:
        return
    expected = np.unique([known[len(known) * quarter // 4] for quarter in range(4)])
    np.testing.assert_array_equal(edges, expected)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30), st.lists(st.integers(-5, 5), min_size=1))
def test_outer_bins_are_open_and_missing_values_have_a_bin_of_their_own(values, edges):
    edges = sorted(set(edges))
    codes = Values(edges=tuple(edges)).codes(np.array(values, np.float64))
    for value, code in zip(values, codes, strict=True):
        if np.isnan(value):
            assert code == len(edges)
        else:
            assert code == max(0, sum(edge <= value for edge in edges) - 1)


INTEGERS = {"i8": st.integers(-(2**63), 2**63 - 1), "u8": st.integers(0, 2**64 - 1), "u1": st.integers(0, 255)}
NEAR = st.sampled_from([2**53, 2**53 + 1, 2**62 + 1, 2**63, 2**64 - 2, -(2**53) - 1, 0, 250, 255, 2.5, -0.5, 1e30])


@given(st.data())
def test_whole_numbers_are_binned_as_they_are(data):
    dtype = data.draw(st.sampled_from(sorted(INTEGERS)))
    values = np.array(data.draw(st.lists(INTEGERS[dtype], min_size=1, max_size=20)), dtype)
    edges = sorted(set(data.draw(st.lists(NEAR | INTEGERS["u8"], min_size=1, max_size=5))))
    codes = Values(edges=tuple(edges)).codes(values)
    assert codes.tolist() == [max(0, sum(edge <= value for edge in edges) - 1) for value in values.tolist()]
    ranks = np.sort(values)
    quarter = np.unique([ranks[len(ranks) * q // 4] for q in range(4)])
    np.testing.assert_array_equal(quarters(lambda: iter([values[:5], values[5:]])), quarter)
    distinct = np.array(data.draw(st.lists(INTEGERS["u8"], min_size=1, max_size=5, unique=True)), np.uint64)
    known = Values(distinct=np.sort(distinct))
    places = {value: place for place, value in enumerate(np.sort(distinct).tolist())}
    assert known.codes(values).tolist() == [places.get(value, len(places)) for value in values.tolist()]


@pytest.mark.parametrize("version", ["0.9", "0.7"])
@pytest.mark.parametrize("scope", ["objects", "vertices"])
def test_large_whole_numbers_and_missing_times_get_bins_that_hold(tmp_path, version, scope):
    large = np.array([2**63 + 1, 2**63, 5, 2**64 - 1] * 5, np.uint64)
    when = np.array(["2020-01-01", "NaT", "1999-01-01", "2020-01-01"] * 5, "M8[s]")
    values = {"large": large, "when": when}
    given = {"object_attributes": values} if scope == "objects" else {"attributes": values}
    points = np.random.default_rng(0).uniform(0, 9, (20, 3)).astype(np.float32)
    write_points(tmp_path / "a", points, object_ids=np.arange(20), format_version=version, **given)
    made = rechunk(tmp_path / "a", RechunkSpec("attribute:large", categorical=True))
    assert made["bins"] == [5, 2**63, 2**63 + 1, 2**64 - 1]
    assert validate(tmp_path / "a", level=5).is_valid
    if scope == "vertices":
        assert read_points(tmp_path / "a", attribute_filter={"large": 2**63 + 1}).vertex_count == 5
    more = {name: column[:1] for name, column in values.items()}
    more = {"object_attributes": more} if scope == "objects" else {"attributes": more}
    append_vertices(tmp_path / "a", points[:1], object_ids=[20], **more)
    assert validate(tmp_path / "a", level=5).is_valid
    made = rechunk(tmp_path / "a", RechunkSpec("attribute:when", categorical=True))
    assert (len(made["bins"]), made["bins_created"]) == (2, 3)
    assert validate(tmp_path / "a", level=5).is_valid


def test_the_command_rechunks_and_refuses_to_replace(tmp_path):
    source = make("points", tmp_path / "a", "0.9", pyramid=False)
    arguments = ["rechunk", str(source), str(tmp_path / "b"), "--by", "attribute:x", "--bins", "0,20"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["bins"] == [0.0, 20.0]
    assert_same(contents(source), contents(tmp_path / "b"))
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "--overwrite" in again.output
