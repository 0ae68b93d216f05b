"""Pictures of points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from zarr_vectors.exceptions import ArgumentError, UnknownNameError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.view import plots
from zarr_vectors.view.plots import Scene, draw_scene, make_scene, plot_points

figures = pytest.importorskip("matplotlib.figure")


@pytest.fixture
def store(tmp_path: Path) -> str:
    rng = np.random.default_rng(1)
    path = str(tmp_path / "cloud.zarrvectors")
    write_points(
        path,
        rng.uniform([0, 0, -5], [100, 50, 5], (2000, 3)),
        attributes={
            "quality": rng.normal(size=2000).astype(np.float32),
            "color": rng.integers(0, 65536, (2000, 3)).astype(np.uint16),
            "flow": rng.normal(size=(2000, 2)),
            "kind": np.array(["b", "a"])[rng.integers(0, 2, 2000)],
        },
        attribute_specs={"quality": {"unit": "volt"}},
        axis_units="micrometer",
    )
    return path


def test_scene_is_seen_along_the_last_axis(store: str) -> None:
    scene = make_scene(store)
    assert scene.labels == ("x (micrometer)", "y (micrometer)")
    assert scene.value_label == "z (micrometer)"
    assert scene.positions.shape == (2000, 2)
    assert np.array_equal(scene.values, scene.depth)
    assert np.abs(scene.depth).max() <= 5


@pytest.mark.parametrize(
    ("plane", "nearest"), [("xy", "z"), ("xz", "-y"), ("yz", "x"), ("yx", "-z"), ("zx", "y"), ("zy", "-x")]
)
def test_depth_grows_towards_the_viewer(store: str, plane: str, nearest: str) -> None:
    positions = make_scene(store, plane=plane).depth
    column = read_points(store).positions[:, "xyz".index(nearest[-1])]
    assert np.array_equal(positions, -column if nearest.startswith("-") else column)


def test_scene_of_another_plane_box_and_attribute(store: str) -> None:
    scene = make_scene(store, bbox=([10, 0, -5], [20, 50, 0]), color_by="quality", plane=("z", "x"))
    assert scene.labels == ("z (micrometer)", "x (micrometer)")
    assert scene.value_label == "quality (volt)"
    assert [list(corner) for corner in scene.corners] == [[-5, 10], [0, 20]]
    assert 0 < len(scene.positions) < 2000
    assert scene.positions[:, 0].max() < 0
    assert np.array_equal(make_scene(store, color_by="y").values, make_scene(store).positions[:, 1])
    colours = make_scene(store, color_by="color").values
    assert colours.shape == (2000, 3)
    assert 0.9 < colours.max() <= 1
    assert set(make_scene(store, color_by="kind").values) == {0, 1}


def test_attributes_of_any_type_can_be_shown(tmp_path: Path) -> None:
    places = np.arange(6.0)
    table = {
        "good": places > 2,
        "size": pd.Categorical(list("mslsml"), categories=list("sml"), ordered=True),
        "holed": pd.Categorical(["b", "a", None, "b", None, "a"]),
        "when": np.array(["2020-01-01", "NaT", *["2020-01-02"] * 4], "M8[D]"),
        "float": np.array([0, np.nan, 2, np.inf, 4, 5], np.float16),
    }
    positions = np.column_stack([places, places[::-1], places])
    write_points(tmp_path / "a.zv", positions, attributes=table, keep_order=True)
    order = read_points(tmp_path / "a.zv").attributes["original_index"]
    expected = {
        "good": [0, 0, 0, 1, 1, 1],
        "size": [1, 0, 2, 0, 1, 2],
        "holed": [1, 0, np.nan, 1, np.nan, 0],
        "when": [0, np.nan, *[86400] * 4],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(make_scene(tmp_path / "a.zv", color_by=name).values, np.array(values)[order])
    for name in table:
        plot_points(tmp_path / "a.zv", tmp_path / f"{name}.png", color_by=name)
        assert (tmp_path / f"{name}.png").stat().st_size > 0


def test_values_that_are_missing_are_no_numbers() -> None:
    shown = plots._shown
    whole = np.ma.MaskedArray([3, 4, 5], [False, True, False])
    np.testing.assert_array_equal(shown(whole, "a"), [3, np.nan, 5])
    np.testing.assert_array_equal(shown(whole > 3, "a"), [0, np.nan, 1])
    np.testing.assert_array_equal(shown(np.array(["b", None, "a"], object), "a"), [1, np.nan, 0])
    colours = np.ma.MaskedArray(np.full((3, 3), 255, np.uint8), np.eye(3) > 0)
    assert shown(colours, "a").max() <= 1
    assert np.isfinite(shown(colours, "a")).all()


def test_missing_values_do_not_darken_a_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "MOST_DOTS", 1)
    scene = Scene(np.zeros((4, 2)), values=np.array([2.0, np.nan, np.inf, 4.0]))
    drawn = draw_scene(figures.Figure().subplots(), scene)
    assert drawn.get_array().compressed().tolist() == [3.0]


def test_what_cannot_be_drawn_is_refused(store: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="'nothing'"):
        make_scene(store, color_by="nothing")
    with pytest.raises(ArgumentError, match="2 channels"):
        make_scene(store, color_by="flow")
    with pytest.raises(ArgumentError, match="two of the axes"):
        make_scene(store, plane=("x", "t"))
    with pytest.raises(ArgumentError, match="kinds of picture"):
        plot_points(store, tmp_path / "cloud.txt")
    assert not (tmp_path / "cloud.txt").exists()
    with pytest.raises(ArgumentError, match="make it first"):
        plot_points(store, tmp_path / "no" / "cloud.png")
    with pytest.raises(ArgumentError, match="path of a picture"):
        plot_points(store, None)  # type: ignore[arg-type]


def draw(scene: Scene, **options: Any) -> tuple[Any, Any]:
    axes = figures.Figure(figsize=(6, 4), layout="constrained").subplots()
    return axes, draw_scene(axes, scene, **options)


def test_nearer_points_are_drawn_later_and_dots_have_the_asked_size() -> None:
    scene = Scene(np.array([[0.0, 0], [10, 10], [5, 5]]), np.array([3.0, 1, 2]), np.array([30, 10, 20]))
    axes, dots = draw(scene, title="three", spacing=1.0, color_range=(0, 99))
    assert list(dots.get_array()) == [10, 20, 30]
    assert dots.get_clim() == (0, 99)
    assert axes.get_aspect() == 1
    assert axes.get_title() == "three"
    axes.figure.draw_without_rendering()
    pixels_a_unit = axes.get_window_extent().width / 10
    radius = dots.get_transforms()[0][0, 0] * dots.get_transform().get_matrix()[0, 0]
    assert 2 * radius == pytest.approx(plots.COVER * pixels_a_unit)


def test_many_points_become_pixels_with_the_mean_of_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "MOST_DOTS", 3)
    monkeypatch.setattr(plots, "PIXELS", 2)
    positions = np.array([[0.0, 0], [0.1, 0.1], [0, 2], [2, 2]])
    _, image = draw(Scene(positions, None, np.array([1.0, 3, 5, 7])))
    shown = image.get_array()
    assert shown.tolist() == [[2.0, None], [5.0, 7.0]]
    _, image = draw(Scene(positions))
    assert image.get_array().tolist() == [[2, None], [1, 1]]


@pytest.mark.parametrize("positions", [np.zeros((0, 2)), np.zeros((3, 2))])
def test_empty_and_flat_clouds_are_drawn(positions: np.ndarray) -> None:
    axes, _ = draw(Scene(positions, values=positions[:, 0]))
    assert axes.get_xlim()[0] < axes.get_xlim()[1]


def test_picture_is_written(store: str, tmp_path: Path) -> None:
    assert plot_points(store, tmp_path / "cloud.png", color_by="quality") == 0
    assert (tmp_path / "cloud.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_finest_level_that_is_small_enough_is_drawn(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_pyramid(store, factors=[(2, 1), (4, 1)])
    monkeypatch.setattr(plots, "WANTED_POINTS", 1999)
    assert plot_points(store, tmp_path / "cloud.png") == 1
    monkeypatch.setattr(plots, "WANTED_POINTS", 0)
    assert plot_points(store, tmp_path / "cloud.png") == 2
