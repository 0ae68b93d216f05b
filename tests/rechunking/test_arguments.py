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
from zarr_vectors.rechunking.binning import Values, quarters

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
        ("points", RechunkSpec("attribute:rgb"), "has 3 channels"),
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
    codes = Values(edges=np.array(edges, np.float64)).codes(np.array(values, np.float64))
    for value, code in zip(values, codes, strict=True):
        if np.isnan(value):
            assert code == len(edges)
        else:
            assert code == max(0, sum(edge <= value for edge in edges) - 1)


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
