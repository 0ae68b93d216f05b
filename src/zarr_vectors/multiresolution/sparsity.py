"""Thinning objects: one ranking of all objects, of which coarse levels keep a leading part."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.attributes import Column
from zarr_vectors.multiresolution.plan import STRATEGIES
from zarr_vectors.typing import FloatArray, IntArray


def parse_strategy(strategy: Any, attributes: dict[str, Column]) -> tuple[str, str | None]:
    """Check a strategy: ``random``, ``spatial_coverage``, ``size``, or ``attribute:<name>``.

    Raises
    ------
    ArgumentError
        When it is not known, or names an object attribute that is not a scalar number of the store.
    """
    name, _, attribute = str(strategy).partition(":")
    if name not in STRATEGIES:
        raise ArgumentError(f"sparsity_strategy: expected one of {', '.join(STRATEGIES)}, got {strategy!r}")
    if name != "attribute":
        return name, None
    scalars = {key: c for key, c in attributes.items() if c.values.ndim == 1 and c.spec.encoding != "dictionary"}
    numbers = [key for key, c in scalars.items() if c.values.dtype.kind in "biuf"]
    if not attribute and len(numbers) == 1:
        attribute = numbers[0]
    if attribute not in numbers:
        raise ArgumentError(
            f"sparsity_strategy: 'attribute:<name>' needs the name of a numeric object attribute, one of "
            f"{sorted(numbers)}; got {strategy!r}"
        )
    return name, attribute


def rank_objects(
    strategy: str, attribute: Column | None, sizes: IntArray, centroids: FloatArray, seed: int | None
) -> IntArray:
    """Return all objects in the order in which they are kept.

    Parameters
    ----------
    strategy : str
        ``random``: a random order; ``size``: most vertices first; ``attribute``: largest value first, none last;
        ``spatial_coverage``: farthest apart first.
    attribute : Column, optional
        Values by which to rank.
    sizes : (O,) int64
        Vertices of every object.
    centroids : (O, D) float
        Centroid of every object.
    seed : int, optional
        Seed of the random order.
    """
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    if strategy == "random":
        return shuffled
    if strategy == "size":
        return np.lexsort((np.arange(len(sizes)), -sizes))
    if strategy == "attribute":
        assert attribute is not None
        values, missing = attribute.values, attribute.missing()
        falling = ~values if values.dtype.kind in "biu" else -values  # exact, and in the opposite order
        return np.lexsort((np.arange(len(sizes)), falling, np.zeros(len(sizes)) if missing is None else missing))
    return _spread(centroids, sizes, shuffled)


def _spread(centroids: FloatArray, sizes: IntArray, shuffled: IntArray) -> IntArray:
    """Order objects so that every leading part covers space evenly.

    Centroids are ranked along a bit-reversed Morton curve: neighbours on the curve are neighbours in space, and
    reversing the bits of a rank visits the curve in ever finer steps.
    """
    occupied = np.flatnonzero(sizes > 0)
    empty = np.flatnonzero(sizes == 0)
    if len(occupied) == 0:
        return shuffled
    low, high = centroids[occupied].min(axis=0), centroids[occupied].max(axis=0)
    bits = max(1, 60 // centroids.shape[1])
    bits = min(bits, 20)
    cells = ((centroids[occupied] - low) / np.where(high > low, high - low, 1) * (2**bits - 1)).astype(np.int64)
    code = np.zeros(len(occupied), np.int64)
    for bit in range(bits):
        for d in range(cells.shape[1]):
            code |= ((cells[:, d] >> bit) & 1) << (bit * cells.shape[1] + d)
    along = np.argsort(code, kind="stable")
    width = max(1, int(len(occupied) - 1).bit_length())
    ranks = np.arange(len(occupied)) * (1 << width) // len(occupied)
    reverse = np.zeros_like(ranks)
    for bit in range(width):
        reverse |= ((ranks >> bit) & 1) << (width - 1 - bit)
    return np.concatenate([occupied[along[np.argsort(reverse, kind="stable")]], empty])
