"""Repairing damaged stores: what can be made anew from what remains is, the rest is named."""

from __future__ import annotations

from typing import Any

from zarr_vectors.exceptions import StoreError, StoreNotFoundError
from zarr_vectors.read.store import ROOT_ADDRESS
from zarr_vectors.repairing.leftovers import (
    Leftovers,
    find_leftovers,
    remove_empty_folders,
    remove_leftovers,
)
from zarr_vectors.repairing.report import RepairItem, RepairReport
from zarr_vectors.repairing.running import Plan, make_plan
from zarr_vectors.storage.journal import Transaction, overlay
from zarr_vectors.storage.lock import lock
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.replace import UNFINISHED_NOTE, finish_or_clear, is_unfinished, put_back, recover
from zarr_vectors.storage.resolve import resolve_storage


def repair(
    path: Any,
    *,
    dry_run: bool = False,
    drop_damaged: bool = False,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> RepairReport:
    """Repair what validation finds wrong with a store, from what remains of it.

    Changes that were interrupted are completed or undone first. Then every error of
    :func:`zarr_vectors.validate.validate` at level 5 is repaired whose damage follows from the rest of the store;
    the others are named together with what is lost. Nothing is invented, and nothing is dropped unless that is
    asked for. The changes become final together or not at all.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    dry_run : bool
        Only say what would be done; nothing is written, not even a lock.
    drop_damaged : bool
        Take out what cannot be made anew: chunks whose vertices cannot be decoded with everything that refers to
        them, links and references that lead nowhere, listed levels and arrays that are gone. Values that are lost
        become absent. Everything dropped is named in the report.
    backend : str, optional
        Library to use for the storage.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    RepairReport
        What was found, and what became of it. Damaged data is never an exception.

    Raises
    ------
    StoreNotFoundError
        When no store is at the path.
    StoreLockedError
        When another writer holds the store.
    ReadOnlyStoreError
        When it cannot be written to; a dry run can be made all the same.

    Examples
    --------
    >>> import numpy as np
    >>> from zarr_vectors.types.points import write_points
    >>> summary = write_points("memory://doc-repair", np.random.default_rng(0).uniform(0, 100, (1000, 3)))
    >>> repair("memory://doc-repair", dry_run=True).found_nothing
    True
    """
    mode = "r" if dry_run else "r+"
    storage = resolve_storage(path, mode=mode, backend=backend, **backend_kwargs)  # type: ignore[arg-type]
    if dry_run:
        if _is_beginning(storage):
            return _clear(storage, dry_run=True)
        _require_store(storage)
        found = find_leftovers(storage, drop=drop_damaged)
        if found.unreadable:
            return RepairReport(storage.url, dry_run, found.items)
        return _report(storage, found, make_plan(_settled(storage, found), drop=drop_damaged), dry_run=True)
    put_back(storage)
    if _is_beginning(storage):
        return _clear(storage, dry_run=False)
    _require_store(storage)
    found = find_leftovers(storage, drop=drop_damaged)
    with lock(storage):
        if found.unreadable:
            return RepairReport(storage.url, dry_run, found.items)
        remove_leftovers(storage, found)
        recover(storage)
        plan = make_plan(storage, drop=drop_damaged)
        _carry_out(storage, plan)
    return _report(storage, found, plan, dry_run=False)


def _is_beginning(storage: Storage) -> bool:
    """Return whether a place holds the beginning of a store, and no root yet."""
    return is_unfinished(storage) and not storage.exists(ROOT_ADDRESS)


def _clear(storage: Storage, *, dry_run: bool) -> RepairReport:
    """Remove the beginning of a store, where nothing was before and nothing has been acknowledged."""
    if not dry_run:
        with lock(storage):
            finish_or_clear(storage)
    what = "the beginning of a store whose writer was interrupted, where nothing was before; removed"
    return RepairReport(storage.url, dry_run, (RepairItem("repaired", "leftovers", UNFINISHED_NOTE, what),))


def _require_store(storage: Storage) -> None:
    """Refuse a place where nothing is that could be a store.

    Raises
    ------
    StoreNotFoundError
        When there is no root metadata.
    """
    if storage.exists(ROOT_ADDRESS):
        return
    view = None if not storage.can_list else _look_through(storage)
    if view is None or not view.exists(ROOT_ADDRESS):
        raise StoreNotFoundError(
            f"{storage.url}: no store is there to be repaired (no {ROOT_ADDRESS}); the root's metadata is kept nowhere "
            "else, so that a store that has lost it must be written anew"
        )


def _look_through(storage: Storage) -> Storage | None:
    try:
        return overlay(storage)
    except StoreError:
        return None


def _settled(storage: Storage, found: Leftovers) -> Storage:
    """Return the store as it is when interrupted changes are completed."""
    return storage if any(item.kind == "dropped" for item in found.items) else overlay(storage) or storage


def _carry_out(storage: Storage, plan: Plan) -> None:
    """Write the changes so that all or none of them are final."""
    draft = plan.draft
    if not draft.written and not draft.deleted:
        return
    with Transaction(storage) as change:
        change.put_many(sorted(draft.written.items()))
        change.delete_many(sorted(draft.deleted))
    remove_empty_folders(storage)


def _report(storage: Storage, found: Leftovers, plan: Plan, *, dry_run: bool) -> RepairReport:
    written, deleted = tuple(sorted(plan.draft.written)), tuple(sorted(plan.draft.deleted))
    return RepairReport(storage.url, dry_run, (*found.items, *plan.items), written, deleted)


__all__ = ["RepairItem", "RepairReport", "repair"]
