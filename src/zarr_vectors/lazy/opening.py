"""Opening a dataset."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from zarr_vectors.core.handle import put_right
from zarr_vectors.exceptions import ArgumentError, ReadOnlyStoreError
from zarr_vectors.lazy.cache import DEFAULT_CACHE_SIZE
from zarr_vectors.lazy.dataset import ZVDataset
from zarr_vectors.lazy.level import check_count
from zarr_vectors.parallel import worker_count
from zarr_vectors.storage.guarded import for_reading
from zarr_vectors.storage.resolve import resolve_storage

MODES: Final = ("r", "r+")


def open_zv(
    path: Any,
    mode: str = "r",
    *,
    cache_size: int = DEFAULT_CACHE_SIZE,
    n_workers: int | None = None,
    backend: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> ZVDataset:
    """Open a store to be read in parts: nothing but its root metadata is read, in at most two rounds of requests.

    Parameters
    ----------
    path : str, path, zarr Store, Storage, Group or ZVDataset
        The store.
    mode : {"r", "r+"}
        ``"r+"`` allows ``dataset[0].writer()``, and first completes a change that was final when it was interrupted.
    cache_size : int
        Bytes, as they are stored, that are kept of what was read; all levels share them. 0 keeps nothing.
    n_workers : int, optional
        Threads that read ahead; as many as there are processors by default, at most 8. More help on object stores.
    backend : str, optional
        Storage library; chosen by the path unless given.
    storage_options : mapping, optional
        Options of the object store, the same as keyword arguments.
    **options
        Options of the object store (credentials, endpoint, …).

    Returns
    -------
    ZVDataset
        Use it in a ``with`` block, or close it: that frees the cache.

    Raises
    ------
    StoreNotFoundError, StoreError
        Nothing is at the path, or something else.
    MetadataError, UnsupportedFeatureError
        The root metadata cannot be read, or is of a revision that is not known.
    ReadOnlyStoreError
        ``mode="r+"`` with a storage that refuses writes.
    ArgumentError
        An argument or option cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from zarr_vectors.types.points import write_points
    >>> _ = write_points("memory://doc-lazy", np.arange(300.0).reshape(100, 3), chunk_shape=100, bin_shape=50)
    >>> with open_zv("memory://doc-lazy") as dataset:
    ...     dataset.count(([0, 0, 0], [100, 100, 100])), len(dataset.read(bbox=([0, 0, 0], [30, 30, 30])))
    (33, 10)
    """
    if mode not in MODES:
        raise ArgumentError(f"mode: expected one of {', '.join(map(repr, MODES))}, got {mode!r}")
    workers = worker_count() if n_workers is None else check_count("n_workers", n_workers, least=1)
    budget = check_count("cache_size", cache_size, least=0)
    merged = {**dict(storage_options or {}), **options}
    storage = resolve_storage(path, mode=mode, backend=backend, **merged)  # type: ignore[arg-type]
    if mode == "r":
        return ZVDataset(for_reading(storage), cache_size=budget, n_workers=workers)
    if storage.read_only:
        raise ReadOnlyStoreError(f"{storage.url}: mode 'r+' was asked for, but it was opened for reading only")
    put_right(storage)
    return ZVDataset(storage, cache_size=budget, n_workers=workers)


async def aopen_zv(path: Any, mode: str = "r", **arguments: Any) -> ZVDataset:
    """Open a store without blocking the event loop; arguments as in :func:`open_zv`."""
    return await asyncio.to_thread(open_zv, path, mode, **arguments)
