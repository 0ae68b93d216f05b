"""Building stale coarse levels anew."""

from __future__ import annotations

from typing import Any

from zarr_vectors.edit.change import stage_refreshed
from zarr_vectors.storage.journal import Transaction
from zarr_vectors.write.changing import open_for_change


def refresh_levels(path: Any, *, backend: str | None = None, **backend_kwargs: Any) -> bool:
    """Build the coarse levels of a store anew where one of them is stale, as they were built before.

    Bin ratios, fractions of objects kept and aggregation modes are those that the levels record.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    backend : str, optional
        Storage library.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    bool
        Whether a level was stale.

    Raises
    ------
    StoreLockedError
        When another writer holds the store.
    """
    with open_for_change(path, backend, backend_kwargs) as (storage, _), Transaction(storage) as staged:
        return stage_refreshed(staged)
