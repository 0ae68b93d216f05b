"""What files say of themselves, kept in the user metadata of a store under the name of their format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zarr_vectors.core.arguments import as_mapping
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.read.store import StoreReader
from zarr_vectors.types.appending import JoinedMetadata
from zarr_vectors.typing import Document


def with_header(
    metadata: Any, key: str, header: Document, join: Callable[[Mapping[str, Any], Mapping[str, Any]], Document]
) -> Document:
    """Return a user's metadata with what a file says.

    Parameters
    ----------
    metadata : mapping, optional
        What the user gave.
    key : str
        Name of the format.
    header : dict
        What the file says.
    join : callable
        Makes one of what a store holds and what is appended, as :class:`JoinedMetadata` says.

    Raises
    ------
    ArgumentError
        When the metadata are no mapping, or have the key.
    """
    said = as_mapping("metadata", {} if metadata is None else metadata)
    if key in said:
        raise ArgumentError(f"metadata: the key {key!r} is kept for what the files say; use another name")
    return {**said, key: JoinedMetadata(header, join)}


def kept_metadata(store: StoreReader, key: str) -> Document:
    """Return what the files of a store say; nothing where it did not come from such files."""
    said = store.attributes.get("user_metadata")
    kept = said.get(key) if isinstance(said, Mapping) else None
    return dict(kept) if isinstance(kept, Mapping) else {}
