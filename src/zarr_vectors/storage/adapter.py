"""Any storage as a zarr-python store, for those that have no zarr-python store of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Self

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from zarr_vectors.storage.port import Blob, Range, get_one, list_folder, put_one

if TYPE_CHECKING:
    from zarr_vectors.storage.port import Storage


class StorageStore(Store):
    """A zarr-python store whose keys are the addresses of a storage.

    Parameters
    ----------
    storage : Storage
        Where the keys are kept. Its blocking calls run on worker threads.
    read_only : bool
        Refuse writes even where the storage takes them.
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __init__(self, storage: Storage, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only or storage.read_only)
        self.storage = storage

    def with_read_only(self, read_only: bool = False) -> Self:
        """Give the same store for reading only, or for writing too."""
        return type(self)(self.storage, read_only=read_only)

    def __eq__(self, value: object) -> bool:
        """Two such stores are equal when their storages are."""
        return isinstance(value, StorageStore) and value.storage == self.storage

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Name the place, without credentials."""
        return f"StorageStore({self.storage.url!r})"

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read one range of one key; ``None`` where it is absent."""
        request = _range(key, byte_range)
        return _buffer(await asyncio.to_thread(get_one, self.storage, *request), prototype)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read many ranges in one round."""
        requests = [_range(key, byte_range) for key, byte_range in key_ranges]
        return [_buffer(blob, prototype) for blob in await asyncio.to_thread(self.storage.get_many, requests)]

    async def exists(self, key: str) -> bool:
        """Say whether there is an object under a key."""
        return await asyncio.to_thread(self.storage.exists, key)

    async def set(self, key: str, value: Buffer) -> None:
        """Write one object."""
        self._check_writable()
        await asyncio.to_thread(put_one, self.storage, key, value.to_bytes())

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write one object unless its key is taken."""
        self._check_writable()
        await asyncio.to_thread(self.storage.put_if_absent, key, value.to_bytes())

    async def delete(self, key: str) -> None:
        """Delete one object."""
        self._check_writable()
        await asyncio.to_thread(self.storage.delete_many, [key])

    async def list(self) -> AsyncIterator[str]:
        """Give every key."""
        for address in await asyncio.to_thread(self.storage.list_all, ""):
            yield address

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Give every key that starts with `prefix`."""
        folder = prefix.rpartition("/")[0]
        for address in await asyncio.to_thread(self.storage.list_all, folder):
            if address.startswith(prefix):
                yield address

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Give the names one level below a prefix."""
        listing = await asyncio.to_thread(list_folder, self.storage, prefix.rstrip("/"))
        for name in [*listing.folders, *listing.files]:
            yield name


def _range(key: str, byte_range: ByteRequest | None) -> Range:
    if isinstance(byte_range, RangeByteRequest):
        return Range(key, byte_range.start, byte_range.end)
    if isinstance(byte_range, OffsetByteRequest):
        return Range(key, byte_range.offset)
    if isinstance(byte_range, SuffixByteRequest):
        return Range(key, -byte_range.suffix)
    return Range(key)


def _buffer(blob: Blob | None, prototype: BufferPrototype) -> Buffer | None:
    return None if blob is None else prototype.buffer.from_bytes(blob)
