"""Chunk and bin shapes of every level of a store in its new chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.grid import Grid, as_shape
from zarr_vectors.model.metadata import CHUNKED_BY, KEYED, RECHUNKED, LevelMetadata, RootMetadata
from zarr_vectors.rechunking.binning import CHANNEL, Binning, KeptBins

_MAX_SCALE = 4096
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class NewGrids:
    """Metadata of a store in its new chunks.

    Parameters
    ----------
    root : RootMetadata
        Of the store.
    levels : mapping of int to Grid
        Chunk and bin shapes.
    """

    root: RootMetadata
    levels: Mapping[int, Grid]


def plan_grids(
    root: RootMetadata,
    levels: Mapping[int, LevelMetadata],
    chunk_shape: Any = None,
    bin_shape: Any = None,
    *,
    argument: str = "spatial_chunk_shape",
) -> NewGrids:
    """Settle the grid of every level.

    Coarse levels keep their bins, since their vertices stand for those; their chunks become the smallest multiple of
    the new chunks that holds whole bins.

    Parameters
    ----------
    root : RootMetadata
        Metadata of the store as it is.
    levels : mapping of int to LevelMetadata
        Its levels.
    chunk_shape, bin_shape : number or one per axis, optional
        New shapes of level 0; as they are by default. Bins that do not divide new chunks become the nearest that do.
    argument : str
        What the user calls the chunk shape.

    Raises
    ------
    ArgumentError
        When shapes do not fit each other.
    """
    chunks = as_shape(argument, chunk_shape, root.ndim) or root.chunk_shape
    bins = as_shape("bin_shape", bin_shape, root.ndim)
    if bins is None:
        bins = _kept_bins(root, chunks, coarse=any(number > 0 for number in levels))
    else:
        Grid(chunks, bins).require_nesting()
    new = replace(root, chunk_shape=chunks, base_bin_shape=bins)
    grids, entries = {}, []
    for number, metadata in sorted(levels.items()):
        grid = metadata.grid(root)
        grids[number] = Grid(chunks, bins) if number == 0 else _coarse_grid(root, new, number, grid, argument)
    for entry in root.levels:
        if entry.level not in grids:
            entries.append(entry)
            continue
        grid = grids[entry.level]
        scale = tuple(round(a / b) for a, b in zip(grid.chunk_shape, chunks, strict=True))
        shown = grid.bin_shape or grid.chunk_shape
        ratio = tuple(_ratio(a, b) for a, b in zip(shown, new.base_bin, strict=True))
        grown = scale if any(s != 1 for s in scale) else None
        entries.append(replace(entry, bin_ratio=ratio, bin_shape=shown, chunk_scale=grown))
    return NewGrids(replace(new, levels=tuple(entries)), grids)


def _kept_bins(root: RootMetadata, chunks: tuple[float, ...], *, coarse: bool) -> tuple[float, ...] | None:
    """Return the bins of level 0 in new chunks: as they are, or the nearest that divide the chunks."""
    if chunks == root.chunk_shape or (root.base_bin_shape is None and not coarse):
        return root.base_bin_shape
    if Grid(chunks, root.base_bin).nests:
        return root.base_bin
    return tuple(c / max(1, round(c / b)) for c, b in zip(chunks, root.base_bin, strict=True))


def _coarse_grid(root: RootMetadata, new: RootMetadata, number: int, grid: Grid, argument: str) -> Grid:
    bins = grid.bin_shape
    if new.chunk_shape == root.chunk_shape:
        scale = tuple(round(a / b) for a, b in zip(grid.chunk_shape, root.chunk_shape, strict=True))
    elif bins is None:
        scale = (1,) * root.ndim
    else:
        scale = tuple(
            _scale(number, axis, chunk, width, argument)
            for axis, (chunk, width) in enumerate(zip(new.chunk_shape, bins, strict=True))
        )
    if bins is not None and any(
        width < base * (1 - _TOLERANCE) for width, base in zip(bins, new.base_bin, strict=True)
    ):
        raise ArgumentError(
            f"bin_shape: bins of {new.base_bin} at level 0 would be larger than those of level {number}, {bins}; "
            "choose smaller bins, or remove the coarse levels and build them anew"
        )
    return Grid(tuple(c * s for c, s in zip(new.chunk_shape, scale, strict=True)), bins)


def _scale(number: int, axis: int, chunk: float, width: float, argument: str) -> int:
    """Return the smallest multiple of a chunk that holds a whole number of bins."""
    scales = np.arange(1, _MAX_SCALE + 1)
    ratios = scales * chunk / width
    whole = (ratios >= 1 - _TOLERANCE) & (np.abs(ratios - np.round(ratios)) <= _TOLERANCE * ratios)
    if not whole.any():
        raise ArgumentError(
            f"{argument}: no multiple of {chunk:g} on axis {axis} holds a whole number of the bins of level "
            f"{number}, {width:g}; choose a chunk shape that is a simple multiple or part of them"
        )
    return int(scales[np.flatnonzero(whole)[0]])


def _ratio(width: float, base: float) -> float:
    ratio = width / base
    return float(round(ratio)) if abs(ratio - round(ratio)) <= _TOLERANCE * ratio else ratio


def level_metadata(
    metadata: LevelMetadata, new: NewGrids, binning: Binning | KeptBins | None, used: list[int]
) -> LevelMetadata:
    """Return the metadata of a level in its new chunks.

    Parameters
    ----------
    metadata : LevelMetadata
        As it was.
    new : NewGrids
        Shapes.
    binning : Binning, optional
        What chunks go by before space.
    used : list of int
        Bins of which the level has chunks.
    """
    grid, root = new.levels[metadata.level], new.root
    entry = root.entry(metadata.level)
    extra = {key: value for key, value in metadata.extra.items() if key not in KEYED}
    if metadata.level > 0:
        extra[RECHUNKED] = True
    changed = replace(
        metadata,
        chunk_shape=None if grid.chunk_shape == root.chunk_shape else grid.chunk_shape,
        bin_shape=grid.bin_shape if metadata.bin_shape is not None or metadata.level == 0 else None,
        bin_ratio=None if metadata.bin_ratio is None or entry is None else entry.bin_ratio,
        fragments_tile=True,
        extra=extra,
    )
    if isinstance(binning, KeptBins):
        kept = {key: metadata.extra[key] for key in KEYED if key in metadata.extra}
        return replace(changed, extra={**extra, **kept})
    if binning is None:
        return replace(changed, chunk_dims=None, chunk_attribute_name=None, chunk_attribute_values=None)
    missing = binning.rest in used and binning.scope != CHANNEL
    labels = [*binning.labels, *([None] if missing else [])]
    exact = binning.exact and binning.spec.attribute is not None and not missing
    described = {"by": binning.spec.by, "scope": binning.scope, "exact": binning.exact, "bins": labels}
    return replace(
        changed,
        chunk_dims=(binning.spec.dim_name, *(axis.name for axis in root.axes)),
        chunk_attribute_name=binning.spec.attribute if exact else None,
        chunk_attribute_values=binning.labels if exact or binning.scope == CHANNEL else None,
        extra={**extra, CHUNKED_BY: described},
    )
