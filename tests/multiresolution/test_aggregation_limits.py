"""Sums and means at the limits of whole numbers, and the order of the input at coarse levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.multiresolution.aggregation import Merging, merge_column
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.points import read_points, write_points


def merging_of(sizes):
    counts = np.array(sizes)
    return Merging(np.cumsum(counts) - counts, counts, np.arange(len(counts)), len(counts))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whole_numbers_are_summed_exactly_or_refused(data):
    dtype = data.draw(st.sampled_from(["int64", "uint64", "int32", "uint8"]))
    limits = np.iinfo(dtype)
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    number = st.one_of(st.integers(limits.min, limits.max), st.sampled_from([limits.min, limits.max, 0, 1]))
    values = np.array(data.draw(st.lists(number, min_size=sum(sizes), max_size=sum(sizes))), dtype)
    merging = merging_of(sizes)
    groups = np.split(values.astype(object), merging.starts[1:])
    exact = [sum(group) for group in groups]
    wide = np.iinfo("uint64" if dtype.startswith("u") else "int64")
    column = Column(values, AttributeSpec(dtype=dtype))
    if all(wide.min <= total <= wide.max for total in exact):
        assert merge_column("a", column, merging, "sum").values.tolist() == exact
    else:
        with pytest.raises(ArgumentError, match="'a'"):
            merge_column("a", column, merging, "sum")
    means = merge_column("a", column, merging, "mean").values.tolist()
    for mean, group in zip(means, groups, strict=True):
        spread = int(values.astype(object).max() - values.astype(object).min())
        assert abs(mean * len(group) - sum(group)) <= len(group) * max(1, spread * 2.0**-48)


@pytest.mark.parametrize("channels", [(), (2,)])
def test_a_sum_that_does_not_fit_is_refused_and_the_store_left_alone(tmp_path, channels):
    values = np.full((1000, *channels), 2**62, np.int64)
    positions = np.random.default_rng(0).uniform(0, 10, (1000, 3))
    write_points(tmp_path / "a", positions, chunk_shape=10.0, bin_shape=5.0, attributes={"charge": values})
    with pytest.raises(ArgumentError, match=r"'charge'.*int64"):
        build_pyramid(tmp_path / "a", [(2.0, 1.0)], agg_mode="sum")
    assert not (tmp_path / "a" / "1").exists()
    build_pyramid(tmp_path / "a", [(2.0, 1.0)], agg_mode="mean")
    assert (read_points(tmp_path / "a", level=1).attributes["charge"] == 2**62).all()


def test_coarse_levels_have_no_order_of_the_input(tmp_path):
    positions = np.random.default_rng(0).uniform(0, 10, (200, 3)).astype(np.float32)
    write_points(tmp_path / "a", positions, chunk_shape=10.0, bin_shape=2.5, keep_order=True)
    build_pyramid(tmp_path / "a", [(2.0, 1.0)])
    assert "original_index" not in read_points(tmp_path / "a", level=1).attributes
    np.testing.assert_array_equal(read_points(tmp_path / "a", restore_order=True).positions, positions)
    with pytest.raises(ArgumentError, match="only level 0"):
        read_points(tmp_path / "a", level=1, restore_order=True)


def test_coarse_graphs_have_no_order_of_the_input(tmp_path):
    positions = np.random.default_rng(0).uniform(0, 10, (50, 3))
    edges = np.stack([np.arange(49), np.arange(1, 50)], axis=1)
    write_graph(tmp_path / "a", positions, edges, chunk_shape=10.0, bin_shape=2.5, keep_order=True)
    build_pyramid(tmp_path / "a", [(2.0, 1.0)])
    assert list((tmp_path / "a" / "0").rglob("original_index"))
    assert not list((tmp_path / "a" / "1").rglob("original_index"))
