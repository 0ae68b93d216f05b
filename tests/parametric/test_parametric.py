"""Parametric objects: what is written comes back, beside whatever else the store holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_vectors.core.store import open_store, read_parametric_types
from zarr_vectors.exceptions import ArgumentError, ShapeError, StoreError, StoreExistsError, UnknownNameError
from zarr_vectors.migration import migrate
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.parametric import (
    ParametricTypeDef,
    read_parametric,
    read_parametric_objects,
    write_parametric,
    write_parametric_objects,
)
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

WIDTHS = {"plane": 4, "line": 6, "sphere": 4, "ellipsoid": 10, "cone": 2}
CONE = ParametricTypeDef(9, "cone", ["a", "b"])
REVISIONS = ("0.9", "0.7")


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(sorted(WIDTHS)), max_size=4, unique=True),
    st.integers(0, 5),
    st.sampled_from(REVISIONS),
    st.sampled_from(["auto", None]),
)
def test_any_shapes(kinds: list[str], count: int, revision: str, compressor: str | None) -> None:
    rng = np.random.default_rng(count)
    shapes = {kind: rng.uniform(0.1, 9, size=(count, WIDTHS[kind])) for kind in kinds}
    path = "memory://shapes"
    write_points(path, np.zeros((1, 3)), format_version=revision)
    total = count * len(kinds)
    names = [f"näme {k}" for k in range(total)]
    weight = rng.normal(size=(total, 2))
    summary = write_parametric(
        path, shapes, names=names, types=[CONE], object_attributes={"weight": weight}, compressor=compressor
    )
    assert summary.object_count == total
    found = read_parametric(path)
    assert found.names == tuple(names)
    assert found.object_ids.tolist() == list(range(total))
    np.testing.assert_array_equal(found.attributes["weight"], weight)
    for kind, values in shapes.items():
        np.testing.assert_array_equal(found.of_type(kind)[1].reshape(values.shape), values)


@pytest.mark.parametrize("revision", REVISIONS)
def test_queries_combine(tmp_path: Path, revision: str) -> None:
    write_parametric(
        tmp_path / "s",
        [
            {"type": "sphere", "coefficients": [0, 0, 0, 1], "name": "small"},
            {"type": 0, "coefficients": [0, 0, 1, -1]},
            {"type": "sphere", "coefficients": [0, 0, 0, 9]},
        ],
        object_attributes={"kind": ["a", "b", "a"], "size": [1, 2, 9]},
        groups={"round": [0, 2], "flat": [1]},
        group_attributes={"colour": [5, 6]},
        format_version=revision,
    )
    everything = read_parametric(tmp_path / "s")
    assert everything.names == ("small", "plane_1", "sphere_2")
    assert everything.groups["round"].tolist() == [0, 2]
    assert everything.group_attributes["colour"].tolist() == [5, 6]
    queries: list[tuple[dict[str, Any], list[int]]] = [
        ({"types": "sphere"}, [0, 2]),
        ({"types": [0, "line"]}, [1]),
        ({"group_ids": "round", "attribute_filter": {"size": (5, 10)}}, [2]),
        ({"group_ids": [0, 1], "object_ids": [0, 1]}, [0, 1]),
        ({"object_ids": [2, 0]}, [2, 0]),
        ({"object_ids": [2, 1, 0], "group_ids": "round"}, [2, 0]),
        ({"attribute_filter": {"kind": "b"}}, [1]),
    ]
    for query, ids in queries:
        assert read_parametric(tmp_path / "s", **query).object_ids.tolist() == ids
    turned = read_parametric(tmp_path / "s", object_ids=[2, 0])
    assert turned.names == ("sphere_2", "small")
    assert turned.coefficients[:, 3].tolist() == [9, 1]
    assert turned.attributes["size"].tolist() == [9, 1]
    chosen = read_parametric(tmp_path / "s", attributes=["size"])
    assert list(chosen["attributes"]) == ["size"]
    for query in (
        {"types": "cube"},
        {"object_ids": [3]},
        {"group_ids": "x"},
        {"attributes": ["y"]},
    ):
        with pytest.raises(UnknownNameError):
            read_parametric(tmp_path / "s", **query)
    report = validate(str(tmp_path / "s"), level=5)
    assert report.is_valid, report.errors


@pytest.mark.parametrize("revision", REVISIONS)
def test_they_stay_when_the_store_changes(tmp_path: Path, revision: str) -> None:
    store = tmp_path / "s"
    positions = np.random.default_rng(0).uniform(0, 10, (50, 3))
    write_parametric(store, {"plane": [[0, 0, 1, 2]]}, format_version=revision)
    write_points(store, positions, out_of_bounds="expand")
    assert read_points(store).vertex_count == 50
    write_points(store, positions, mode="a")
    build_pyramid(store, [(2, 1)])
    write_parametric(store, {"plane": [[1, 0, 0, 2]], "cone": [[1, 2]]}, types=[CONE], groups={0: [1]}, mode="a")
    found = read_parametric(store)
    assert found.of_type("plane")[1].tolist() == [[0, 0, 1, 2], [1, 0, 0, 2]]
    assert found.groups[0].tolist() == [2]
    assert read_points(store, level=1).vertex_count > 0
    other = "0.7" if revision == "0.9" else "0.9"
    migrate(store, tmp_path / "t", format_version=other)
    moved = read_parametric(tmp_path / "t")
    np.testing.assert_array_equal(moved.coefficients, found.coefficients)
    assert [one.name for one in read_parametric_types(open_store(tmp_path / "t"))] == [
        "plane",
        "line",
        "sphere",
        "cone",
    ]
    with pytest.raises(StoreExistsError, match="3 parametric objects"):
        write_parametric(store, {}, mode="w-")
    write_parametric(store, {"line": [[0, 0, 0, 1, 1, 1]]})
    assert read_parametric(store).object_count == 1
    write_points(store, positions)
    assert read_parametric(store).object_count == 1  # replacing the points takes nothing else away


@pytest.mark.parametrize(
    ("objects", "more", "error", "message"),
    [
        ({"cube": [[1]]}, {}, ArgumentError, "no type 'cube'"),
        ({"plane": np.ma.MaskedArray(np.ones((1, 4)), [[1, 0, 0, 0]])}, {}, ArgumentError, "'plane': row 0 is masked"),
        ({"plane": [[2**60 + 1, 0, 0, 1]]}, {}, ArgumentError, "float64, which does not hold"),
        ({"plane": np.ones((1, 4), complex)}, {}, ArgumentError, "must be numbers"),
        (
            {"sphere": [[1, 2, 3]]},
            {},
            ArgumentError,
            "object 0 has 3 coefficients, but 'sphere' needs 4: cx, cy, cz, r",
        ),
        (
            {"sphere": np.zeros((0, 3))},
            {},
            ArgumentError,
            "rows of 'sphere' have 3 coefficients, but 'sphere' needs 4: cx",
        ),
        (
            {"sphere": [[0, 0, 0, 1], [0, 0, 0, -1]]},
            {},
            ArgumentError,
            "radius r of object 1, a sphere, must not be neg",
        ),
        ({"plane": [[0, 0, 0, 1]]}, {}, ArgumentError, "normal A, B, C of object 0, a plane, must not be zero"),
        (
            {"line": [[1, 1, 1, 0, 0, 0]]},
            {},
            ArgumentError,
            "direction dx, dy, dz of object 0, a line, must not be zero",
        ),
        ({"ellipsoid": [[0, 0, 0, 1, -1, 1, 1, 0, 0, 0]]}, {}, ArgumentError, "semi-axes .* must not be negative"),
        ({"ellipsoid": [[0, 0, 0, 1, 1, 1, 0, 0, 0, 0]]}, {}, ArgumentError, "quaternion .* must not be zero"),
        ({"sphere": [1, 2, 3, 4]}, {}, ShapeError, "2 dimensions"),
        ({"sphere": [[1, 2, np.nan, 3]]}, {}, ArgumentError, "must be finite; row 0"),
        ({"sphere": "round"}, {}, ArgumentError, "must be numbers"),
        ([{"type": "plane"}], {}, ArgumentError, "object 0 needs 'type' and 'coefficients'"),
        ("plane", {}, ArgumentError, "expected a mapping"),
        ({"plane": [[1, 2, 3, 4]]}, {"names": ["a", "b"]}, ShapeError, "2 given for 1"),
        ({"plane": [[1, 2, 3, 4]]}, {"types": [ParametricTypeDef(2, "cone", ["a"])]}, ArgumentError, "clashes with"),
        ({"plane": [[1, 2, 3, 4]]}, {"object_attributes": {"a": [1, 2]}}, ShapeError, "'a'"),
        ({"plane": [[1, 2, 3, 4]]}, {"groups": {0: [1]}}, ArgumentError, "names object 1, which does not exist"),
    ],
)
def test_refused(tmp_path: Path, objects: Any, more: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        write_parametric(tmp_path / "s", objects, **more)
    assert not list(tmp_path.iterdir())


def test_one_mapping_per_object(tmp_path: Path) -> None:
    shapes = [{"type": "cone", "coefficients": [1.0, 2.0], "name": "hat"}]
    with pytest.raises(StoreError):
        write_parametric_objects(tmp_path / "s", shapes, custom_types=[CONE])
    options = {"bounds": ([0, 0, 0], [9, 9, 9])}
    write_parametric_objects(tmp_path / "s", shapes, custom_types=[CONE], create_new_store=True, store_kwargs=options)
    assert read_parametric_objects(tmp_path / "s") == [
        {"type": "cone", "type_id": 9, "coefficients": [1.0, 2.0], "coefficient_names": ["a", "b"], "name": "hat"}
    ]


@pytest.mark.parametrize("revision", REVISIONS)
def test_types_of_the_store_are_used_again_and_replaced(tmp_path: Path, revision: str) -> None:
    store = tmp_path / "s"
    write_parametric(store, {"cone": [[1, 2]]}, types=[CONE], format_version=revision)
    write_parametric(store, {"cone": [[3, 4]]}, mode="a")
    assert read_parametric(store).of_type("cone")[1].tolist() == [[1, 2], [3, 4]]
    write_parametric(store, [{"type": 9, "coefficients": [5, 6]}])
    assert read_parametric(store).of_type("cone")[1].tolist() == [[5, 6]]
    wider = ParametricTypeDef(9, "cone", ["a", "b", "c"])
    with pytest.raises(ArgumentError, match=r"'cone' with id 9 and coefficients .* clashes with 'cone'"):
        write_parametric(store, {"cone": [[3, 4, 5]]}, types=[wider], mode="a")
    write_parametric(store, {"cone": [[3, 4, 5]]}, types=[wider])
    assert read_parametric(store).of_type("cone")[1].tolist() == [[3, 4, 5]]
    write_parametric(store, {"sphere": [[0, 0, 0, 1]]})
    assert [one.name for one in read_parametric(store).types] == ["plane", "line", "sphere"]
    with pytest.raises(ArgumentError, match="no type 'cone'"):
        write_parametric(store, {"cone": [[3, 4, 5]]})
    assert read_parametric(store).object_count == 1


def test_a_type_of_ones_own_may_hold_any_numbers(tmp_path: Path) -> None:
    own = ParametricTypeDef(12, "ellipsoid", ["size"])
    write_parametric(tmp_path / "s", {"ellipsoid": [[-1]]}, types=[own])
    assert read_parametric(tmp_path / "s").of_type("ellipsoid")[1].tolist() == [[-1]]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"object_attributes": {"z": [1, 2]}}, ShapeError),
        ({"groups": {0: [4]}}, ArgumentError),
        ({"group_attributes": {"a": [1]}}, ArgumentError),
    ],
)
def test_nothing_is_left_where_one_mapping_per_object_is_refused(
    tmp_path: Path, more: dict[str, Any], error: type[Exception]
) -> None:
    shape = {"type": "sphere", "coefficients": [0, 0, 0, 1]}
    with pytest.raises(error):
        write_parametric_objects(tmp_path / "s", [shape], create_new_store=True, **more)
    assert not list(tmp_path.iterdir())
