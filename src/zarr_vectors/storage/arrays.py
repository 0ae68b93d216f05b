"""Opening one array of a store with zarr-python."""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import zarr
from zarr.errors import UnstableSpecificationWarning

from zarr_vectors.exceptions import ArrayError, UnknownNameError
from zarr_vectors.storage.documents import DOCUMENT_NAME, parse_document
from zarr_vectors.storage.port import Storage, check_address, get_whole, join, list_folder

ZarrArray: TypeAlias = zarr.Array[Any]
"""An array of zarr-python, for layers that must not know zarr-python."""

_LISTED = 10


def open_array(storage: Storage, path: str) -> ZarrArray:
    """Open an array as zarr-python sees it.

    Parameters
    ----------
    storage : Storage
        Where the store is; the array can be written to where the storage takes writes.
    path : str
        Path of the array below the root, for example ``"0/vertices"``.

    Returns
    -------
    zarr.Array
        Its chunks are read when it is indexed.

    Raises
    ------
    UnknownNameError
        When nothing is at the path.
    ArrayError
        When a group is there; the message names what is below it.
    ArgumentError
        When the path leads out of the store.
    """
    checked = check_address(path.strip("/"))
    address = join(checked, DOCUMENT_NAME)
    blob = get_whole(storage, [address])[0]
    if blob is None:
        raise UnknownNameError(f"{storage.url}: there is no array {checked!r}")
    if parse_document(blob, address).get("node_type") != "array":
        below = list_folder(storage, checked).folders[:_LISTED] if storage.can_list else []
        raise ArrayError(
            f"{storage.url}: {checked!r} is a group, not an array" + (f"; it holds {', '.join(below)}" if below else "")
        )
    mode: Any = "r" if storage.read_only else "r+"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        return zarr.open_array(storage.zarr_store(), path=checked, mode=mode, zarr_format=3)
