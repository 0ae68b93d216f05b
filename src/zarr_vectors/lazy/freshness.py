"""Telling a store that is damaged from one that another process has changed since it was opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from zarr_vectors.exceptions import ArrayError, MetadataError, StoreChangedError, ZarrVectorsError

if TYPE_CHECKING:
    from zarr_vectors.lazy.dataset import ZVDataset

T = TypeVar("T")


def reading(dataset: ZVDataset, function: Callable[[ZVDataset], T]) -> T:
    """Return what a function reads from a dataset.

    Where the store looks damaged the same is tried with the store opened anew: when that works, what the dataset
    remembers (indexes, cells) was out of date. Nothing is asked as long as reading works.

    Parameters
    ----------
    dataset : ZVDataset
        The dataset.
    function : callable
        Reads from the dataset that it is given.

    Raises
    ------
    StoreChangedError
        When the store can be read as it is now, but no longer with what the dataset remembers of it.
    ArrayError, MetadataError
        When the store is damaged.
    """
    try:
        return function(dataset)
    except (ArrayError, MetadataError) as error:
        if _reads_anew(dataset, function):
            raise StoreChangedError(
                f"{dataset.url}: the store has changed since it was opened, and what was read before no longer fits; "
                "call reload() and read again"
            ) from error
        raise


def _reads_anew(dataset: ZVDataset, function: Callable[[ZVDataset], T]) -> bool:
    """Return whether a function can read from the store as it is now."""
    try:
        with dataset.opened_anew() as anew:
            function(anew)
    except ZarrVectorsError:
        return False
    return True
