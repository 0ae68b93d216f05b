"""Laws of partitioning, of the two encodings, and of metadata."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.strategies import Cloud, clouds
from zarr_vectors.constants import OBJECT_ID_ATTRIBUTE
from zarr_vectors.formats.detection import revision_named
from zarr_vectors.formats.documents import parse_level, parse_root
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.axes import NgffAxis
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.elements import Elements, Objects
from zarr_vectors.model.metadata import LevelEntry, LevelMetadata, RootMetadata
from zarr_vectors.read.fetch import decode_fragments, decode_rows, fetch_cells
from zarr_vectors.read.objects import read_manifests, read_object_ids
from zarr_vectors.read.store import StoreReader
from zarr_vectors.spatial.partition import FragmentRule, partition
from zarr_vectors.storage import resolve_storage
from zarr_vectors.write.options import WriteOptions
from zarr_vectors.write.store import write_store


def cells_of(cloud: Cloud) -> Cells:
    rows = Column(np.arange(len(cloud.positions)), AttributeSpec(dtype="int64"))
    objects = None
    if cloud.object_ids is not None:
        ids, of_vertex = np.unique(cloud.object_ids, return_inverse=True)
        objects = Objects(ids, of_vertex.reshape(-1))
    rule = FragmentRule.BINS if objects is None else FragmentRule.OBJECTS
    return partition(Elements(cloud.positions, {"row": rows}, objects), cloud.grid, rule)


@given(clouds())
def test_partition_files_every_row_under_its_chunk(cloud: Cloud) -> None:
    cells = cells_of(cloud)
    rows = cells.attributes["row"].values
    assert sorted(rows.tolist()) == list(range(len(cloud.positions)))
    np.testing.assert_array_equal(cells.positions, cloud.positions[rows])
    counts = np.diff(cells.row_offsets)
    assert (counts > 0).all()
    np.testing.assert_array_equal(cloud.grid.chunks_of(cells.positions), np.repeat(cells.chunks, counts, axis=0))
    order = np.lexsort(cells.chunks.T[::-1]) if len(cells.chunks) else np.zeros(0, int)
    np.testing.assert_array_equal(order, np.arange(len(cells.chunks)))
    assert len(np.unique(cells.chunks, axis=0)) == len(cells.chunks)


@given(clouds(objects=False))
def test_fragments_of_points_are_bins(cloud: Cloud) -> None:
    cells, grid = cells_of(cloud), cloud.grid
    np.testing.assert_array_equal(np.diff(cells.fragments.offsets), grid.n_bins)
    bins = np.stack([grid.bins_of(cells.positions[:, d], d) for d in range(cloud.ndim)], axis=1)
    number = np.ravel_multi_index(tuple((bins % grid.bins_per_chunk).T), grid.bins_per_chunk)
    counts = cells.fragments.counts.reshape(-1, grid.n_bins)
    starts = cells.fragments.starts.reshape(-1, grid.n_bins)
    np.testing.assert_array_equal(starts, np.cumsum(counts, axis=1) - counts)
    filed = np.repeat(np.tile(np.arange(grid.n_bins), len(cells.chunks)), counts.reshape(-1))
    np.testing.assert_array_equal(filed, number)


@given(clouds(objects=True))
def test_manifests_lead_to_the_rows_of_an_object(cloud: Cloud) -> None:
    cells = cells_of(cloud)
    assert cells.objects is not None
    manifests = cells.objects.manifests
    assert manifests is not None
    numbers = {tuple(chunk): number for number, chunk in enumerate(cells.chunks.tolist())}
    for number, identity in enumerate(cells.objects.ids.tolist()):
        blocks = slice(manifests.offsets[number], manifests.offsets[number + 1])
        rows: list[int] = []
        for chunk, local in zip(manifests.chunks[blocks].tolist(), manifests.fragments[blocks], strict=True):
            place = numbers[tuple(chunk)]
            fragment = cells.fragments.offsets[place] + local
            start = cells.row_offsets[place] + cells.fragments.starts[fragment]
            rows += cells.attributes["row"].values[start : start + cells.fragments.counts[fragment]].tolist()
        assert sorted(rows) == np.flatnonzero(cloud.object_ids == identity).tolist()


@given(clouds(), st.sampled_from(["0.7", "0.9"]), st.sampled_from([None, "zstd", "auto"]))
def test_decoding_undoes_encoding(cloud: Cloud, revision: str, compressor: Any) -> None:
    cells = cells_of(cloud)
    storage = resolve_storage(f"memory://cells-{uuid.uuid4().hex}", mode="w")
    options = WriteOptions.parse(format_version=revision, compressor=compressor)
    bounds = ((-1.0,) * cloud.ndim, (1.0,) * cloud.ndim)
    axes = tuple(NgffAxis(f"a{d}") for d in range(cloud.ndim))
    entry = LevelEntry(0, (1.0,) * cloud.ndim, cloud.bin_shape)
    root = RootMetadata("", axes, cloud.chunk_shape, bounds, ("point_cloud",), cloud.bin_shape, levels=(entry,))
    level = LevelMetadata(0, bin_shape=cloud.bin_shape)
    write_store(storage, options.revision, root, [(level, cells)], options)

    reader = StoreReader.open(storage).level(0)
    np.testing.assert_array_equal(reader.chunks, cells.chunks)
    arrays = reader.arrays
    assert arrays.vertex_fragments is not None
    wanted = [arrays.vertices, arrays.vertex_fragments, arrays.vertex_attributes["row"]]
    vertices, fragments, rows = fetch_cells(storage, wanted, reader.chunks)
    positions, offsets = decode_rows(vertices)
    assert positions.dtype == cells.positions.dtype
    np.testing.assert_array_equal(positions, cells.positions)
    np.testing.assert_array_equal(offsets, cells.row_offsets)
    np.testing.assert_array_equal(decode_rows(rows)[0], cells.attributes["row"].values)
    decoded = decode_fragments(fragments)
    for part in ("offsets", "starts", "counts"):
        np.testing.assert_array_equal(getattr(decoded, part), getattr(cells.fragments, part))
    if cells.objects is not None and cells.objects.manifests is not None:
        np.testing.assert_array_equal(read_object_ids(reader), cells.objects.ids)
        manifests = read_manifests(reader, None)
        for part in ("offsets", "chunks", "fragments"):
            np.testing.assert_array_equal(getattr(manifests, part), getattr(cells.objects.manifests, part))
        owners = fetch_cells(storage, [arrays.fragment_attributes[OBJECT_ID_ATTRIBUTE]], reader.chunks)[0]
        np.testing.assert_array_equal(decode_rows(owners)[0], cells.fragment_attributes[OBJECT_ID_ATTRIBUTE].values)


NUMBERS = st.floats(0.001, 1e6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def roots(draw: Any) -> RootMetadata:
    ndim = draw(st.integers(1, 4))
    numbers = st.tuples(*[NUMBERS] * ndim)
    low, high = (draw(st.tuples(*[st.floats(-1e6, 1e6)] * ndim)) for _ in range(2))
    bins = draw(numbers)
    counts = draw(st.tuples(*[st.integers(1, 9)] * ndim))
    ratios = [(1.0,) * ndim, *(draw(st.tuples(*[st.integers(1, 8).map(float)] * ndim)) for _ in range(2))]
    return RootMetadata(
        zv_version="0.9.2",
        axes=tuple(
            NgffAxis(f"axis{d}", draw(st.sampled_from(["space", "time"])), draw(st.sampled_from([None, "meter"])))
            for d in range(ndim)
        ),
        chunk_shape=tuple(b * n for b, n in zip(bins, counts, strict=True)),
        bounds=(tuple(map(min, low, high)), tuple(map(max, low, high))),
        geometry_types=("point_cloud",),
        base_bin_shape=bins,
        crs=draw(st.none() | st.just({"name": "RAS", "epsg": 4978})),
        reduction_factor=draw(st.integers(2, 16)),
        cross_level_depth=draw(st.integers(-1, 3)),
        cross_level_storage=draw(st.sampled_from(["none", "implicit", "explicit"])),
        format_capabilities=draw(st.sampled_from([(), ("fragment_index",)])),
        attribute_specs={("vertex", "v"): AttributeSpec(dtype="float32", unit=draw(st.none() | st.just("volt")))},
        name=draw(st.text("abc", min_size=1)),
        levels=tuple(
            LevelEntry(number, ratio, tuple(r * b for r, b in zip(ratio, bins, strict=True)))
            for number, ratio in enumerate(ratios)
        ),
        extra={"x-of-others": draw(JSON)},
    )


@given(roots(), st.sampled_from(["0.7", "0.9"]))
def test_parsing_undoes_serialising_of_roots(root: RootMetadata, revision: str) -> None:
    attributes = revision_named(revision).root_attributes(root, {"kept": 1})
    assert attributes["kept"] == 1
    again = parse_root(attributes, "here")
    for name in RootMetadata.__dataclass_fields__:
        found, expected = getattr(again, name), getattr(root, name)
        if name == "levels":
            assert [entry.level for entry in found] == [entry.level for entry in expected]
            for a, b in zip(found, expected, strict=True):
                assert a.bin_ratio == b.bin_ratio
                assert a.bin_shape == pytest.approx(b.bin_shape)
        else:
            assert found == expected, name
    assert revision_named(revision).root_attributes(again, attributes) == attributes


@given(st.data(), st.sampled_from(["0.7", "0.9"]))
def test_parsing_undoes_serialising_of_levels(data: st.DataObject, revision: str) -> None:
    ndim = data.draw(st.integers(1, 4))
    numbers = st.none() | st.tuples(*[NUMBERS] * ndim)
    level = LevelMetadata(
        level=data.draw(st.integers(0, 5)),
        vertex_count=data.draw(st.integers(0, 2**40)),
        arrays_present=("vertices",),
        bin_shape=data.draw(numbers),
        bin_ratio=data.draw(numbers),
        object_sparsity=data.draw(st.floats(0.01, 1)),
        parent_level=data.draw(st.none() | st.integers(0, 4)),
        chunk_shape=data.draw(numbers),
        preserves_object_ids=data.draw(st.none() | st.booleans()),
        shared_fragments=data.draw(st.booleans()),
        fragments_tile=data.draw(st.booleans()),
        nodes=("vertices", "vertex_attributes/a"),
        extra={"x-of-others": data.draw(JSON)},
    )
    attributes = revision_named(revision).level_attributes(level, {"kept": 1})
    assert parse_level(attributes, level.level, "here") == level
    assert attributes["kept"] == 1
