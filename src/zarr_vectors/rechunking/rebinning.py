"""Giving the vertices of a store other bins, in the chunks that they are in or in others."""

from __future__ import annotations

from typing import Any

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.rechunking.binning import KeptBins
from zarr_vectors.rechunking.grids import plan_grids
from zarr_vectors.rechunking.running import MEMORY_BUDGET, RechunkSummary, job, places, run, summary
from zarr_vectors.write.options import Progress


def rebin_store(
    store_path: Any,
    bin_shape: Any = None,
    output: Any = None,
    *,
    chunk_shape: Any = None,
    overwrite: bool = False,
    verify: bool = True,
    memory_budget: int = MEMORY_BUDGET,
    temporary_folder: Any = None,
    progress: Progress | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> RechunkSummary:
    """Give a store other bins, other chunks, or both.

    Chunk keys keep their first component, where they go by more than space. Coarse levels keep their bins, since
    their vertices stand for those; what they are as a multiple of the bins of level 0 is worked out anew.

    Parameters
    ----------
    store_path : str, path, zarr Store or Group
        The store.
    bin_shape : number or one per axis, optional
        New bin shape of level 0, which must divide the chunk shape and not be larger than the bins of coarse levels.
    output : str or path, optional
        Where to write; by default the store is replaced, when the new one is complete and verified.
    chunk_shape : number or one per axis, optional
        New chunk shape of level 0; as it is by default.
    overwrite, verify, memory_budget, temporary_folder, progress, backend, **backend_kwargs
        As in :func:`~zarr_vectors.rechunking.running.rechunk`.

    Returns
    -------
    RechunkSummary
        As of :func:`~zarr_vectors.rechunking.running.rechunk`.

    Raises
    ------
    ArgumentError
        When neither shape is given, or they do not fit each other or the coarse levels.
    StoreExistsError, StoreNotFoundError, StoreError
        As in :func:`~zarr_vectors.rechunking.running.rechunk`.
    """
    if bin_shape is None and chunk_shape is None:
        raise ArgumentError("bin_shape: give a new bin_shape, a new chunk_shape, or both")
    with (
        job(memory_budget, temporary_folder, verify, progress) as work,
        places(store_path, output, overwrite, backend, backend_kwargs) as (store, target, _),
    ):
        levels = {number: store.level(number).metadata for number in store.level_numbers()}
        leads = any(metadata.leads(store.root.ndim) for metadata in levels.values())
        new, binning, sources, moved = run(
            store,
            target,
            lambda: plan_grids(store.root, levels, chunk_shape, bin_shape, argument="chunk_shape"),
            lambda source, rows: KeptBins() if leads else None,
            work,
        )
        return summary(target.url, new, binning, sources, moved)
