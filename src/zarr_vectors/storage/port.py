"""The port: what the rest of the package may ask of the place where a store's bytes are kept.

A *storage* maps addresses to bytes. An address is relative to the root of the store, its segments are
joined by forward slashes (``"0/vertices/c/0/0/0"``), and it says nothing about the format. Every method
takes many addresses at once, so that an implementation can overlap, merge and order the requests; one
call is one *round* of requests.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import zarr.abc.store

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.typing import Bytes

Blob: TypeAlias = bytes | memoryview
"""What a read hands back."""

ZarrStore: TypeAlias = zarr.abc.store.Store
"""A zarr-python store, for layers that must not know zarr-python."""

BlobParts: TypeAlias = Bytes | Sequence[Bytes]
"""What a write takes: one buffer, or several that are written one after another."""

INTERNAL_PREFIX = ".zv-"
"""Folders of the root that start with this hold locks and journals, not data."""

_ADDRESS = re.compile(r"(?!/)(?![A-Za-z]:)(?:(?!\.{1,2}(?:/|\Z))[^/\\\x00\ud800-\udfff]+(?:/(?!\Z)|\Z))+")
_DEVICE = re.compile(r"(?i)(?:^|/)(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.[^/]*)?(?:/|\Z)|[:<>|?*\"]")
"""What Windows takes for a device or for part of something else than a file's name."""


class Range(NamedTuple):
    """One read request: the bytes ``[start, stop)`` of an address.

    Attributes
    ----------
    address : str
        Address relative to the root of the store.
    start : int, optional
        First byte. ``None`` means 0; a negative number without a `stop` asks for the last ``-start`` bytes.
    stop : int, optional
        One past the last byte. ``None`` means up to the end.
    """

    address: str
    start: int | None = None
    stop: int | None = None


class Listing(NamedTuple):
    """One level of a prefix.

    Attributes
    ----------
    folders : list of str
        Names (not addresses) of what holds further addresses, sorted.
    files : list of str
        Names of the addresses directly below the prefix, sorted.
    """

    folders: list[str]
    files: list[str]


@runtime_checkable
class Storage(Protocol):
    """A place that keeps bytes at addresses.

    Absent addresses are never an error for reading, listing, deleting or moving; they are ``None``, empty,
    or skipped. An object appears at its address complete or not at all.
    """

    @property
    def url(self) -> str:
        """Where the root is, in the form that `resolve_storage` takes; without credentials."""

    @property
    def name(self) -> str:
        """Last segment of the root, as a title for the store."""

    @property
    def read_only(self) -> bool:
        """Whether writes raise :class:`~zarr_vectors.exceptions.ReadOnlyStoreError`."""

    @property
    def can_list(self) -> bool:
        """Whether the folders below a prefix can be listed (plain HTTP servers cannot)."""

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read many ranges in one round.

        Parameters
        ----------
        requests : sequence of Range
            What to read; ranges of one address are merged where they are close to each other.

        Returns
        -------
        list
            One entry a request, in order: the bytes, or ``None`` where the address is absent. A range that
            reaches beyond the end gives the bytes that are there, so it may be short or empty.
        """

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write whole objects, replacing what is at their addresses.

        Parameters
        ----------
        items : iterable of (str, bytes or sequence of bytes)
            Addresses and their data. Items may be written in any order, also at the same time; what must
            come last belongs into a later call.
        """

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write one object unless its address is taken, atomically; say whether it was written."""

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix (``""`` is the root), all in one round."""

    def list_all(self, prefix: str = "") -> list[str]:
        """List every address at any depth below a prefix, sorted."""

    def exists(self, address: str) -> bool:
        """Say whether there is an object at an address."""

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete objects; absent ones are skipped."""

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete everything below a prefix; ``""`` deletes the whole store."""

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Move objects from the first address of each pair to the second; absent sources are skipped."""

    def zarr_store(self) -> ZarrStore:
        """Give the same place as a zarr-python store."""


@runtime_checkable
class FillsBuffers(Protocol):
    """A storage that can read straight into memory that its caller has."""

    def fill_many(self, requests: Sequence[Range], targets: Sequence[memoryview]) -> bool:
        """Read many bounded ranges, each into a flat writable buffer of its length; say whether all were there."""


def get_one(storage: Storage, address: str, start: int | None = None, stop: int | None = None) -> Blob | None:
    """Read one range of one address.

    Parameters
    ----------
    storage : Storage
        Where to read.
    address : str
        Address relative to the root of the store.
    start, stop : int, optional
        As in :class:`Range`.

    Returns
    -------
    bytes, memoryview or None
        The bytes, or ``None`` where the address is absent.
    """
    return storage.get_many([Range(address, start, stop)])[0]


def get_whole(storage: Storage, addresses: Sequence[str]) -> list[Blob | None]:
    """Read whole objects in one round; ``None`` where one is absent."""
    return storage.get_many([Range(address) for address in addresses])


def put_one(storage: Storage, address: str, data: BlobParts) -> None:
    """Write one object, replacing what is at its address."""
    storage.put_many([(address, data)])


def list_folder(storage: Storage, prefix: str = "") -> Listing:
    """List one level below one prefix."""
    return storage.list_folders([prefix])[0]


def check_address(address: str) -> str:
    """Refuse an address that could leave its store.

    Parameters
    ----------
    address : str
        Address relative to the root of the store.

    Returns
    -------
    str
        The same address.

    Raises
    ------
    ArgumentError
        The address is empty or absolute, has an empty, ``.`` or ``..`` segment, a backslash, a NUL
        character, half a character (a lone surrogate) or a drive letter; on Windows also a name of a device.
    """
    if not is_address(address):
        raise ArgumentError(
            f"{address[:200]!r} is not an address inside a store: use a relative path with forward slashes, "
            f"without empty, '.' or '..' segments, backslashes, NUL characters or drive letters"
        )
    return address


def is_address(name: object) -> bool:
    """Say whether something is an address that stays inside its store, as :func:`check_address` wants it."""
    if not isinstance(name, str) or not _ADDRESS.fullmatch(name):
        return False
    return os.name != "nt" or not _DEVICE.search(name)


def check_prefix(prefix: str) -> str:
    """Refuse a prefix that could leave its store; give it without slashes at its end.

    Raises
    ------
    ArgumentError
        As :func:`check_address`; the empty prefix, which means the root, is allowed.
    """
    stripped = prefix.rstrip("/")
    return check_address(stripped) if stripped or prefix else ""


def join(prefix: str, name: str) -> str:
    """Join a prefix, which may be empty, and a name."""
    return f"{prefix}/{name}" if prefix else name


def parts_of(data: BlobParts) -> list[memoryview]:
    """Give the data of one object as flat views of bytes, in writing order, without copying."""
    buffers = [data] if _is_buffer(data) else data
    return [_flat(buffer) for buffer in buffers]  # type: ignore[arg-type]


def _is_buffer(data: BlobParts) -> bool:
    return not isinstance(data, list | tuple) and hasattr(data, "__len__") and _has_buffer(data)


def _has_buffer(data: object) -> bool:
    try:
        memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def _flat(buffer: Bytes) -> memoryview:
    view = memoryview(buffer)
    if view.nbytes == 0:
        return memoryview(b"")
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def joined(data: BlobParts) -> Bytes:
    """Give the data of one object as one buffer; copies only where there are several."""
    if _is_buffer(data):
        return data  # type: ignore[return-value]
    views = parts_of(data)
    return views[0] if len(views) == 1 else b"".join(views)
