"""Polylines written and read back: everything, by id, group, attribute, chunk and box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.polylines.walks import REVISIONS, STRATEGIES, Walks, assert_paths, make_walks, walks
from zarr_vectors.exceptions import ShapeError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.points import read_points
from zarr_vectors.types.polylines import read_polylines, write_polylines
from zarr_vectors.validate import validate


@given(
    made=walks(),
    revision=st.sampled_from(REVISIONS),
    crossings=st.sampled_from(STRATEGIES),
    chunk=st.sampled_from([5.0, 20.0, 1e4]),
    data=st.data(),
)
def test_paths_come_back_bit_for_bit(made: Walks, revision: str, crossings: str, chunk: float, data: Any) -> None:
    fa = np.arange(len(made.positions)) * 0.5
    write_polylines(
        "memory://walks",
        made.positions,
        offsets=made.offsets,
        object_ids=made.ids,
        dtype=made.positions.dtype,
        chunk_shape=chunk,
        attributes={"fa": fa},
        object_attributes={"length": made.lengths},
        format_version=revision,
        cross_chunk_strategy=crossings,
    )
    by_id = np.argsort(made.ids)
    everything = read_polylines("memory://walks")
    assert_paths(everything, made, by_id)
    expected = [fa[made.offsets[n] : made.offsets[n + 1]] for n in by_id]
    assert everything.attributes["fa"].tolist() == np.concatenate([np.zeros(0), *expected]).tolist()
    assert everything.object_attributes["length"].tolist() == made.lengths[by_id].tolist()
    asked = data.draw(st.lists(st.sampled_from(range(made.count)), max_size=6)) if made.count else []
    assert_paths(read_polylines("memory://walks", object_ids=made.ids[asked]), made, asked)
    low = np.array(data.draw(st.lists(st.sampled_from([-35, -5, 0, 2.5]), min_size=4, max_size=4)))
    ndim = made.positions.shape[1]
    low, high = low[:ndim], low[:ndim] + data.draw(st.sampled_from([5.0, 22.0, 300.0]))
    inside = set(made.meeting(low, high))
    assert_paths(read_polylines("memory://walks", bbox=(low, high)), made, [n for n in by_id if n in inside])
    both = read_polylines("memory://walks", bbox=(low, high), object_ids=made.ids[asked])
    assert_paths(both, made, [n for n in asked if n in inside])


@pytest.fixture(scope="module", params=[(r, s) for r in REVISIONS for s in STRATEGIES], ids=lambda p: "-".join(p))
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Walks]:
    revision, crossings = request.param
    made = make_walks(3)
    path = tmp_path_factory.mktemp("paths") / "walks.zv"
    random = np.random.default_rng(1)
    paths = made.paths()
    write_polylines(
        path,
        paths,
        geometry_type="streamline",
        chunk_shape=20,
        bin_shape=5,
        attributes={
            "fa": [p[:, 0] for p in paths],
            "color": np.tile(np.arange(3, dtype=np.uint8), (made.offsets[-1], 1)),
        },
        object_attributes={"length": made.lengths, "tract": random.choice(["a", "b", "c"], made.count)},
        groups={"CST": [0, 4, 7, 5], "AF": [4, 9]},
        group_attributes={"side": ["left", "right"]},
        streamline_metadata={"step_size": 0.5, "affine": np.eye(4), "seeds": np.int64(7)},
        metadata={"project": "x"},
        format_version=revision,
        cross_chunk_strategy=crossings,
    )
    return path, made


def test_lists_give_what_flat_arrays_give(written: tuple[Path, Walks]) -> None:
    path, made = written
    result = read_polylines(path)
    assert_paths(result, made, range(made.count))
    assert [part.tolist() for part in result.split("fa")] == [p[:, 0].tolist() for p in made.paths()]
    assert result.attributes["color"].shape == (made.offsets[-1], 3)
    assert result.channel_names == {"color": ("ch0", "ch1", "ch2")}
    assert result["polyline_count"] == result.polyline_count == len(result) == made.count
    assert result["vertex_count"] == made.offsets[-1]
    np.testing.assert_array_equal(result["offsets"], made.offsets)


def test_paths_are_a_sequence_of_views(written: tuple[Path, Walks]) -> None:
    path, made = written
    paths = read_polylines(path).polylines
    assert len(paths) == made.count
    assert paths[0].base is not None
    assert paths[-1].tolist() == made.path(made.count - 1).tolist()
    assert [p.tolist() for p in paths[2:9:3]] == [made.path(n).tolist() for n in (2, 5, 8)]
    assert f"<{made.count} arrays of float32" in repr(paths)
    with pytest.raises(IndexError):
        paths[made.count]


def test_metadata_of_streamlines_is_kept(written: tuple[Path, Walks]) -> None:
    path, _ = written
    store = open_reader(path)
    assert store.root.geometry_types == ("streamline",)
    expected = {"step_size": 0.5, "affine": np.eye(4).tolist(), "seeds": 7}
    assert store.attributes["streamline_metadata"] == expected
    assert store.attributes["user_metadata"] == {"project": "x"}
    assert read_polylines(path, object_ids=[1]).streamline_metadata == expected


def test_groups_by_number_and_name_and_conditions_combine(written: tuple[Path, Walks]) -> None:
    path, made = written
    assert_paths(read_polylines(path, group_ids="CST"), made, [0, 4, 5, 7])
    assert_paths(read_polylines(path, group_ids=[1, "CST"]), made, [0, 4, 5, 7, 9])
    assert_paths(read_polylines(path, group_ids="AF", object_ids=[9, 1, 4]), made, [9, 4])
    tracts = read_polylines(path).object_attributes["tract"]
    expected = [n for n in range(made.count) if tracts[n] == "b" and 3 <= made.lengths[n] < 30]
    found = read_polylines(path, attribute_filter={"tract": "b", "length": (3, 30)})
    assert_paths(found, made, expected)
    assert set(found.object_attributes["tract"]) == {"b"}
    low, high = [-20.0] * 3, [10.0] * 3
    inside = set(made.meeting(low, high))
    expected = [n for n in range(made.count) if n in inside and tracts[n] in ("a", "c")]
    assert_paths(read_polylines(path, bbox=(low, high), attribute_filter={"tract": ["a", "c"]}), made, expected)


def test_chunks_give_whole_paths(written: tuple[Path, Walks]) -> None:
    path, made = written
    chunks = np.floor(made.positions / 20).astype(int)
    asked = [(0, 0, 0), (-1, 0, 1), (77, 0, 0)]
    there = (chunks[:, None] == np.array(asked)).all(axis=2).any(axis=1)
    expected = [n for n in range(made.count) if there[made.offsets[n] : made.offsets[n + 1]].any()]
    assert_paths(read_polylines(path, chunks=asked), made, expected)
    assert_paths(read_polylines(path, chunks=asked, object_ids=[*expected[:1], 5]), made, expected[:1])
    assert read_polylines(path, chunks=[]).polyline_count == 0


def test_few_paths_are_what_they_are_among_all(written: tuple[Path, Walks]) -> None:
    path, made = written
    everything = read_polylines(path)
    for asked in ([3], [7, 2, 29], [6, 5]):
        found = read_polylines(path, object_ids=asked)
        assert_paths(found, made, asked)
        rows = np.concatenate([np.arange(made.offsets[n], made.offsets[n + 1]) for n in asked])
        for name, values in everything.attributes.items():
            assert found.attributes[name].tolist() == values[rows].tolist()


def test_threads_decode_what_one_does(written: tuple[Path, Walks], monkeypatch: pytest.MonkeyPatch) -> None:
    path, made = written
    monkeypatch.setattr("zarr_vectors.read.fetch._THREADED_BYTES", 0)
    monkeypatch.setattr("zarr_vectors.read.fetch._THREADED_CELL", 0)
    for tasks in (1, 3, 50):
        monkeypatch.setattr("zarr_vectors.read.fetch.worker_count", lambda tasks=tasks: tasks)
        assert_paths(read_polylines(path), made, range(made.count))
        assert_paths(read_polylines(path, object_ids=[7, 2, 29]), made, [7, 2, 29])


def test_only_what_is_asked_for_is_returned(written: tuple[Path, Walks]) -> None:
    path, _ = written
    result = read_polylines(path, attributes="fa", include_object_attributes="tract", return_object_ids=False)
    assert set(result.attributes) == {"fa"}
    assert set(result.object_attributes) == {"tract"}
    assert result.object_ids is None
    bare = read_polylines(path, attributes=[], include_object_attributes=False)
    assert bare.attributes == bare.object_attributes == {}


def test_paths_without_vertices_are_objects_without_vertices(written: tuple[Path, Walks]) -> None:
    path, _ = written
    result = read_polylines(path, object_ids=[5, 6])
    assert result.offsets.tolist() == [0, 0, 1]
    assert 5 not in read_polylines(path, bbox=([-1e6] * 3, [1e6] * 3)).object_ids


def test_stores_are_valid(written: tuple[Path, Walks]) -> None:
    report = validate(written[0], level=5)
    assert report.is_valid, report.report()
    assert report.warnings == []


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("crossings", STRATEGIES)
def test_appending_keeps_what_was_there(tmp_path: Path, revision: str, crossings: str) -> None:
    first, second = make_walks(1), make_walks(2, count=9)
    path = tmp_path / "a.zv"
    options: dict[str, Any] = {"format_version": revision, "cross_chunk_strategy": crossings}
    write_polylines(
        path,
        first.positions,
        offsets=first.offsets,
        chunk_shape=20,
        groups={"x": [1, 2]},
        object_attributes={"n": first.lengths},
        streamline_metadata={"step": 1},
        **options,
    )
    build_pyramid(path, [(2.0, 1.0)])
    summary = write_polylines(
        path,
        second.positions,
        offsets=second.offsets,
        mode="a",
        out_of_bounds="expand",
        groups={"x": [3, 31], "y": [30]},
        object_attributes={"n": second.lengths},
    )
    assert summary.polyline_count == first.count + second.count
    both = Walks(
        np.concatenate([first.positions, second.positions]),
        np.append(first.offsets, first.offsets[-1] + second.offsets[1:]),
        np.arange(first.count + second.count),
    )
    result = read_polylines(path)
    assert_paths(result, both, range(both.count))
    assert result.object_attributes["n"].tolist() == both.lengths.tolist()
    assert read_polylines(path, group_ids="x").object_ids.tolist() == [1, 2, 3, 31]
    store = open_reader(path)
    assert (store.root.geometry_types, store.root.cross_chunk_strategy) == (("streamline",), crossings)
    assert result.streamline_metadata == {"step": 1}
    assert store.level_numbers() == [0, 1]
    write_polylines(path, [np.ones((2, 3))], mode="a", object_attributes={"n": [2]}, streamline_metadata={"step": 2})
    assert read_polylines(path).streamline_metadata == {"step": 2}


@pytest.mark.parametrize("revision", REVISIONS)
def test_identity_needs_no_object_index(tmp_path: Path, revision: str) -> None:
    made = make_walks(4)
    keep = made.lengths > 0
    paths = [path + 100 for path, kept in zip(made.paths(), keep, strict=True) if kept]
    path = tmp_path / "one.zv"
    summary = write_polylines(
        path,
        paths,
        object_index_convention="identity",
        format_version=revision,
        object_attributes={"n": [len(p) for p in paths]},
        groups={"odd": range(1, len(paths), 2)},
    )
    assert summary.chunk_count == 1
    assert not (path / "0" / "object_index").exists()
    whole = Walks(np.concatenate(paths), np.append(0, np.cumsum(list(map(len, paths)))), np.arange(len(paths)))
    result = read_polylines(path)
    assert_paths(result, whole, range(whole.count))
    assert result.object_attributes["n"].tolist() == whole.lengths.tolist()
    assert_paths(read_polylines(path, object_ids=[3, 1]), whole, [3, 1])
    assert_paths(read_polylines(path, group_ids="odd"), whole, range(1, whole.count, 2))
    low, high = [90.0] * 3, [115.0] * 3
    assert_paths(read_polylines(path, bbox=(low, high)), whole, whole.meeting(low, high))
    assert_paths(
        read_polylines(path, attribute_filter={"n": (5, 9)}),
        whole,
        np.flatnonzero((whole.lengths >= 5) & (whole.lengths < 9)),
    )
    build_pyramid(path, [(2.0, 1.0), (4.0, 2.0)])
    coarse = read_polylines(path, level=2)
    assert coarse.polyline_count == round(whole.count / 2)
    report = validate(path, level=5)
    assert report.is_valid, report.report()


@pytest.mark.parametrize("revision", REVISIONS)
def test_attribute_chunks(tmp_path: Path, revision: str) -> None:
    made = make_walks(5)
    layer = (np.arange(len(made.positions)) // 7) % 3
    path = tmp_path / "layers.zv"
    options: dict[str, Any] = {"chunk_shape": 20, "format_version": revision}
    write_polylines(
        path, made.positions, offsets=made.offsets, attributes={"layer": layer}, chunk_by_attribute="layer", **options
    )
    result = read_polylines(path)
    assert_paths(result, made, range(made.count))
    assert result.attributes["layer"].tolist() == layer.tolist()
    low, high = [-10.0] * 3, [30.0] * 3
    assert_paths(read_polylines(path, bbox=(low, high)), made, made.meeting(low, high))
    keys = {
        (int(code), *chunk)
        for code, chunk in zip(layer, np.floor(made.positions / 20).astype(int).tolist(), strict=True)
    }
    assert {tuple(key) for key in open_reader(path).level(0).chunks.tolist()} == keys
    one = min(key for key in keys if key[0] == 1)
    assert set(read_points(path, chunks=[one]).attributes["layer"]) == {1}
    build_pyramid(path, [(4.0, 1.0)])
    coarse = read_polylines(path, level=1)
    assert coarse.polyline_count == (made.lengths > 0).sum()
    assert set(coarse.attributes["layer"]) == {0, 1, 2}


@pytest.mark.parametrize("revision", REVISIONS)
def test_paths_outside_the_bounds_are_left_out_whole(tmp_path: Path, revision: str) -> None:
    made = make_walks(6)
    bounds = ([-45.0] * 3, [45.0] * 3)
    outside = ((made.positions < bounds[0]) | (made.positions > bounds[1])).any(axis=1)
    stays = [n for n in range(made.count) if not outside[made.offsets[n] : made.offsets[n + 1]].any()]
    assert 0 < len(stays) < made.count
    out = next(n for n in range(made.count) if n not in stays)
    summary = write_polylines(
        tmp_path / "in.zv",
        made.positions,
        offsets=made.offsets,
        bounds=bounds,
        out_of_bounds="ignore",
        groups={"g": [out, stays[0]]},
        chunk_shape=20,
        format_version=revision,
    )
    assert summary.ignored_count == made.count - len(stays)
    assert_paths(read_polylines(tmp_path / "in.zv"), made, stays)
    assert read_polylines(tmp_path / "in.zv", group_ids="g").object_ids.tolist() == [stays[0]]


@pytest.mark.parametrize("channels", [(), (2,)])
def test_attributes_of_equally_long_paths_may_be_one_array(tmp_path: Path, channels: tuple[int, ...]) -> None:
    paths = np.random.default_rng(4).uniform(0, 9, (5, 7, 3))
    values = np.random.default_rng(5).uniform(0, 9, (5, 7, *channels))
    for name, form in (("a.zv", values), ("b.zv", list(values)), ("c.zv", values.reshape(35, *channels))):
        write_polylines(tmp_path / name, paths, attributes={"x": form})
        assert np.array_equal(read_polylines(tmp_path / name).attributes["x"], values.reshape(35, *channels))
    with pytest.raises(ShapeError, match="'x'"):
        write_polylines(tmp_path / "d.zv", paths, attributes={"x": values[:, :6]})
