"""Datasets as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zarr_vectors.lazy.dataset import ZVDataset
    from zarr_vectors.lazy.level import ZVLevel

_HEADINGS = ("level", "vertices", "objects", "chunks", "bin ratio", "bin shape", "chunk shape", "")


def dataset_summary(dataset: ZVDataset) -> str:
    """Return what a dataset holds: a line per fact, then one per level."""
    dataset.open_levels()
    lines = [
        f"geometry_type: {dataset.geometry_type}",
        f"spatial_dims: {dataset.spatial_dims}",
        f"chunk_shape: {list(dataset.chunk_shape)}",
        f"bin_shape: {list(dataset.bin_shape)}",
        *(f"objects: {count}" for count in [dataset.n_objects] if count),
        *(f"{level.index}: {level.vertex_count} vertices, {level.chunk_count} chunks" for level in dataset),
    ]
    return "\n".join(lines)


def dataset_html(dataset: ZVDataset) -> str:
    """Return a dataset as HTML: its facts and a table of its levels; everything stored is escaped."""
    if dataset.closed:
        return f"<p>{escape(repr(dataset))}</p>"
    dataset.open_levels()
    lower, upper = dataset.bounding_box
    axes = ", ".join(axis.name + (f" ({axis.unit})" if axis.unit else "") for axis in dataset.axes)
    facts = {
        "geometry type": dataset.geometry_type or "none yet",
        "axes": axes,
        "bounding box": f"{_numbers(lower)} to {_numbers(upper)}",
        "objects": f"{dataset.n_objects:,}",
        "format": dataset.format_version,
    }
    listed = "".join(f"<tr>{_cell(name, 'th')}{_cell(value)}</tr>" for name, value in facts.items())
    headings = "".join(_cell(name, "th") for name in _HEADINGS)
    rows = "".join(f"<tr>{''.join(map(_cell, _row(level)))}</tr>" for level in dataset)
    return (
        f"<div><strong>{escape(dataset.name)}</strong> <code>{escape(dataset.url)}</code>"
        f"<table><tbody>{listed}</tbody></table>"
        f"<table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(level: ZVLevel) -> tuple[str, ...]:
    return (
        str(level.index),
        f"{level.vertex_count:,}",
        f"{level.object_count:,}",
        f"{level.chunk_count:,}",
        _numbers(level.bin_ratio),
        _numbers(level.bin_shape),
        _numbers(level.chunk_shape),
        "stale" if level.is_stale else "",
    )


def _numbers(values: Sequence[float]) -> str:
    return " × ".join(f"{value:g}" for value in values)


def _cell(text: str, tag: str = "td") -> str:
    return f"<{tag}>{escape(text)}</{tag}>"
