"""Pictures of points (extra ``plot``): seen along one axis, as dots or, where there are too many, as pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.extras import require
from zarr_vectors.model.axes import NgffAxis
from zarr_vectors.read.chunk_values import vertex_specs
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.types.points import read_points
from zarr_vectors.typing import AnyArray, FloatArray

MOST_DOTS = 300_000
"""More points than these are drawn as pixels."""

PIXELS = 900
"""Pixels along the longer side of a picture of many points."""

COLOUR_RANGE = (2.0, 98.0)
"""Percentiles of the values between which the colours run, so that single outliers do not flatten them."""

WANTED_POINTS = 2_000_000
"""A level is drawn unasked if it has at most so many points."""

_GREY = 0.8
"""Part of white that a colour has which is missing."""
COVER = 1.45
"""Diameter of a dot over the spacing of the points; above the square root of 2, a square lattice has no gaps."""

WIDTH = 9.0
DOTS_PER_INCH = 150


@dataclass(frozen=True, slots=True)
class Scene:
    """Points to be drawn, with what the drawing says about them.

    Parameters
    ----------
    positions : (N, 2) float
        Coordinates on the paper.
    depth : (N,) float, optional
        Distance from the paper; what is nearer to the viewer (larger) is drawn over the rest.
    values : (N,) number or (N, 3) colour, optional
        What the colours show; the density of points where there are none.
    labels : pair of str
        Of the horizontal and the vertical axis.
    value_label : str
        Of the colours.
    limits : pair of pair of float, optional
        Lower and upper corner of what is shown; the extent of the points by default.
    """

    positions: FloatArray
    depth: FloatArray | None = None
    values: AnyArray | None = None
    labels: tuple[str, str] = ("x", "y")
    value_label: str = ""
    limits: tuple[Sequence[float], Sequence[float]] | None = None

    @property
    def corners(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper corner of what is shown; never flat."""
        if self.limits is not None:
            low, high = (np.asarray(corner, np.float64) for corner in self.limits)
        elif len(self.positions) == 0:
            low, high = np.zeros(2), np.ones(2)
        else:
            low = self.positions.min(axis=0).astype(np.float64)
            high = self.positions.max(axis=0).astype(np.float64)
        flat = high <= low
        return np.where(flat, low - 0.5, low), np.where(flat, high + 0.5, high)


def make_scene(
    source: Any,
    *,
    level: int = 0,
    bbox: Any = None,
    color_by: str | None = None,
    plane: Sequence[str] | None = None,
) -> Scene:
    """Read what is to be drawn from a store of points.

    Parameters
    ----------
    source : str, path, zarr Store or Group
        The store.
    level : int
        Resolution level.
    bbox : pair of D numbers, optional
        Only points in the half-open box.
    color_by : str, optional
        An axis or a vertex attribute that the colours show; by default the axis that points at the viewer.
    plane : pair of str, optional
        Names of the horizontal and the vertical axis; the first two by default.

    Raises
    ------
    ArgumentError
        When the plane does not name two axes, or the attribute cannot be shown as colours.
    UnknownNameError
        When there is no such level or attribute.
    """
    store = open_reader(source)
    axes = store.root.axes
    across, up = _plane([axis.name for axis in axes], plane)
    rest = [d for d in range(len(axes)) if d not in (across, up)]
    of_axis = next((d for d, axis in enumerate(axes) if axis.name == color_by), None)
    points = read_points(store, level=level, bbox=bbox, attributes=[color_by] if color_by and of_axis is None else [])
    values, value_label = None, ""
    if rest:
        values, value_label = points.positions[:, rest[-1]], axis_label(axes[rest[-1]])
    depth = None if values is None else values * _towards_viewer((across, up, rest[-1]))
    if of_axis is not None:
        values, value_label = points.positions[:, of_axis], axis_label(axes[of_axis])
    elif color_by is not None:
        known, _ = points.categories.get(color_by, ((), False))
        values = _shown(points.attributes[color_by], color_by, known)
        spec = vertex_specs(store.level(level, own=True)).get(color_by)
        unit = None if spec is None else spec.unit
        value_label = f"{color_by} ({unit})" if unit else color_by
    limits = None if bbox is None else tuple([corner[across], corner[up]] for corner in map(np.asarray, bbox))
    return Scene(
        points.positions[:, [across, up]],
        depth,
        values,
        (axis_label(axes[across]), axis_label(axes[up])),
        value_label,
        limits,  # type: ignore[arg-type]
    )


def _towards_viewer(axes: tuple[int, int, int]) -> int:
    """Return +1 where the third axis points at the viewer of the first two, -1 where it points away.

    In right-handed axes it is the sign of their permutation: z points at who sees x to the right and y
    upwards, y away from who sees x to the right and z upwards.
    """
    first, second, third = axes
    return 1 if (first < second) ^ (second < third) ^ (first < third) else -1


def axis_label(axis: NgffAxis) -> str:
    """Return the name of an axis with its unit."""
    return f"{axis.name} ({axis.unit})" if axis.unit else axis.name


def _plane(names: list[str], plane: Sequence[str] | None) -> tuple[int, int]:
    wanted = list(plane) if plane is not None else names[:2]
    if len(wanted) != 2 or len(set(wanted)) != 2 or not set(wanted) <= set(names):
        raise ArgumentError(f"plane: expected two of the axes {names}, got {wanted}")
    return names.index(wanted[0]), names.index(wanted[1])


def _shown(values: AnyArray, name: str, categories: Sequence[Any] = ()) -> AnyArray:
    """Return values as numbers, NaN where they are missing, or as colours between 0 and 1.

    Texts and categories become the number of their place, booleans 0 and 1, times seconds from the first.
    """
    lacks = np.ma.getmaskarray(values)
    given: AnyArray = np.ma.getdata(values)
    if given.ndim == 2 and given.shape[1] == 3 and given.dtype.kind in "ui":
        whole = 255 if len(given) == 0 or given.max() <= 255 else np.iinfo(np.uint16).max
        return np.where(lacks, _GREY, np.clip(given.astype(np.float64) / whole, 0.0, 1.0))
    if given.ndim != 1:
        raise ArgumentError(
            f"color_by: {name!r} has {given.shape[1]} channels; only scalar attributes and colours can be shown"
        )
    if given.dtype.kind in "iuf" and not lacks.any():
        return given
    if given.dtype.kind in "biuf":
        numbers = given.astype(np.float64)
    elif given.dtype.kind in "mM":
        lacks = lacks | np.isnat(given)
        first = given[~lacks].min() if not lacks.all() else given[:1]
        numbers = (given - first) / np.timedelta64(1, "s")
    else:
        lacks = lacks | np.array([value is None for value in given.tolist()], bool)
        texts, rows = np.unique(given[~lacks].astype(str), return_inverse=True)
        place = {str(category): number for number, category in enumerate(categories)}
        numbers = np.zeros(len(given))
        numbers[~lacks] = np.array([place.get(text, n) for n, text in enumerate(texts.tolist())], np.float64)[rows]
    return np.where(lacks, np.nan, numbers)


def draw_scene(
    axes: Any,
    scene: Scene,
    *,
    title: str = "",
    spacing: float | None = None,
    color_range: tuple[float, float] | None = None,
) -> Any:
    """Draw points into axes of matplotlib, with equal scales, labels and a scale of colours.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    scene : Scene
        What to draw.
    title : str
        Title of the axes.
    spacing : float, optional
        Edge of a dot in the units of the axes, for example the bin shape of a coarse level; by default such
        that the dots would just cover what is shown.
    color_range : pair of float, optional
        Values at the ends of the scale of colours; by default the 2nd and the 98th percentile.

    Returns
    -------
    matplotlib artist
        That shows the points.
    """
    low, high = scene.corners
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel=scene.labels[0], ylabel=scene.labels[1])
    axes.set_aspect("equal")
    axes.set_title(title)
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.locator_params(nbins=5)
    coloured = scene.values is not None and scene.values.ndim == 2
    draw = _draw_pixels if len(scene.positions) > MOST_DOTS and not coloured else _draw_dots
    drawn = draw(axes, scene, spacing)
    if color_range is not None:
        drawn.set_clim(*color_range)
    if not coloured and drawn.get_array() is not None:
        label = scene.value_label if scene.values is not None else "points a pixel"
        axes.figure.colorbar(drawn, ax=axes, label=label, shrink=0.75, aspect=30)
    return drawn


def _draw_dots(axes: Any, scene: Scene, spacing: float | None) -> Any:
    """Draw every point as a disc whose diameter is given in the units of the axes."""
    collections = require("matplotlib.collections", "plot", "pictures")
    low, high = scene.corners
    order = slice(None) if scene.depth is None else np.argsort(scene.depth, kind="stable")
    edge = spacing or float(np.sqrt(np.prod(high - low) / max(1, len(scene.positions))))
    dots = collections.EllipseCollection(
        [COVER * edge],
        [COVER * edge],
        [0],
        units="xy",
        offsets=scene.positions[order],
        offset_transform=axes.transData,
        linewidths=0,
        rasterized=True,
    )
    colours = None if scene.values is None else scene.values[order]
    if colours is not None and colours.ndim == 2:
        dots.set_facecolor(colours)
    elif colours is not None:
        scale = _colour_scale(colours)
        dots.set(array=colours, cmap=scale["cmap"], clim=(scale["vmin"], scale["vmax"]))
    axes.add_collection(dots, autolim=False)
    return dots


def _colour_scale(values: AnyArray) -> dict[str, Any]:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low, high = np.percentile(finite, COLOUR_RANGE) if len(finite) else (0.0, 1.0)
    return {"cmap": "viridis", "vmin": float(low), "vmax": float(high) if high > low else float(low) + 1.0}


def _draw_pixels(axes: Any, scene: Scene, spacing: float | None) -> Any:
    """Draw the mean of the values in every pixel, or the number of points."""
    low, high = scene.corners
    pixel = max(float((high - low).max()) / PIXELS, spacing or 0.0)
    shape = np.maximum(1, np.ceil((high - low) / pixel)).astype(np.int64)
    place = np.clip(((scene.positions - low) / pixel).astype(np.int64), 0, shape - 1)
    key = place[:, 1] * shape[0] + place[:, 0]
    counts = np.bincount(key, minlength=int(shape.prod())).astype(np.float64)
    shown = counts
    if scene.values is not None:
        known = np.isfinite(scene.values)
        sums = np.bincount(key[known], weights=scene.values[known].astype(np.float64), minlength=int(shape.prod()))
        counts = np.bincount(key[known], minlength=int(shape.prod())).astype(np.float64)
        shown = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    image = np.ma.masked_where(counts == 0, shown).reshape(shape[::-1])
    far = low + shape * pixel
    return axes.imshow(
        image,
        origin="lower",
        extent=(low[0], far[0], low[1], far[1]),
        interpolation="nearest",
        **_colour_scale(np.asarray(image.compressed())),
    )


def plot_points(
    source: Any,
    target: str | os.PathLike[str],
    *,
    level: int | None = None,
    bbox: Any = None,
    color_by: str | None = None,
    plane: Sequence[str] | None = None,
) -> int:
    """Draw the points of a store into a file.

    Parameters
    ----------
    source : str, path, zarr Store or Group
        The store.
    target : str or path
        Picture to write: PNG, PDF, SVG or whatever else matplotlib writes, by its name.
    level : int, optional
        Resolution level; by default the finest with at most two million points, else the coarsest.
    bbox, color_by, plane
        As in :func:`make_scene`.

    Returns
    -------
    int
        The level that was drawn.

    Raises
    ------
    MissingExtraError
        When matplotlib is not installed.
    ArgumentError, UnknownNameError
        As :func:`make_scene`; also for a kind of file that matplotlib does not write, or a folder that
        does not exist.
    """
    figures = require("matplotlib.figure", "plot", "pictures")
    if not isinstance(target, str | os.PathLike):
        raise ArgumentError(f"target: expected the path of a picture, got {target!r}")
    if not Path(target).parent.is_dir():
        raise ArgumentError(f"target: the folder of {os.fspath(target)!r} does not exist; make it first")
    store = open_reader(source)
    drawn = _level_to_draw(store) if level is None else level
    scene = make_scene(store, level=drawn, bbox=bbox, color_by=color_by, plane=plane)
    low, high = scene.corners
    height = float(np.clip(WIDTH * (high[1] - low[1]) / (high[0] - low[0]) * 0.8 + 1, 3, 14))
    figure = figures.Figure(figsize=(WIDTH, height), layout="constrained", dpi=DOTS_PER_INCH)
    suffix = Path(target).suffix.lstrip(".").lower()
    if suffix not in figure.canvas.get_supported_filetypes():
        known = ", ".join(sorted(figure.canvas.get_supported_filetypes()))
        raise ArgumentError(f"target: {os.fspath(target)!r} ends in none of the kinds of picture: {known}")
    title = f"{store.storage.name}, level {drawn}: {len(scene.positions):,} points"
    draw_scene(figure.subplots(), scene, title=title)
    figure.savefig(target)
    return drawn


def _level_to_draw(store: StoreReader) -> int:
    numbers = store.level_numbers()
    small = [n for n in numbers if store.level(n, own=True).metadata.vertex_count <= WANTED_POINTS]
    return small[0] if small else numbers[-1]
