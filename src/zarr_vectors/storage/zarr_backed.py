"""Storage in any zarr-python store that a user hands over: memory, fsspec, icechunk and others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.bridge import REQUESTS_IN_FLIGHT, read_ranges, run, run_each
from zarr_vectors.storage.failures import explained, without_secrets
from zarr_vectors.storage.keyed import KeyedStorage
from zarr_vectors.storage.port import (
    Blob,
    BlobParts,
    Listing,
    Range,
    check_address,
    check_prefix,
    join,
    joined,
)
from zarr_vectors.storage.ranges import Read
from zarr_vectors.typing import Bytes


@dataclass(frozen=True, slots=True)
class ZarrStorage(KeyedStorage):
    """The keys of a zarr-python store.

    Attributes
    ----------
    store : zarr.abc.store.Store
        The store; it is not copied, so its owner sees what is written.
    path : str
        Where in the store addresses start.
    refuse_writes : bool
        Refuse writes even where the store takes them.
    """

    _remedy = "the store is for reading only"

    store: Store
    path: str = ""
    refuse_writes: bool = False

    @property
    def url(self) -> str:
        """What the store calls itself, without credentials."""
        return without_secrets(f"{self.store}/{self.path}" if self.path else str(self.store))

    @property
    def name(self) -> str:
        """Last segment of the store's own path, if it has one, else the kind of store."""
        path = (self.path or str(getattr(self.store, "path", ""))).rstrip("/")
        return path.rpartition("/")[2] or type(self.store).__name__

    @property
    def read_only(self) -> bool:
        """As the store says; one that cannot delete, such as a zip file, can hold no change."""
        store = self.store
        return self.refuse_writes or store.read_only or not (store.supports_writes and store.supports_deletes)

    @property
    def can_list(self) -> bool:
        """As the store says."""
        return self.store.supports_listing

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read many ranges, all at the same time, close ranges of one object together.

        Raises
        ------
        ArgumentError
            An address that would leave the store, or a range without meaning.
        StoreError
            The store refuses or fails.
        """
        return read_ranges(requests, self._read)

    async def _read(self, read: Read) -> Blob | None:
        if read.stop is not None and read.start == read.stop:
            return b"" if await self._is_object(read.address) else None
        wanted = _byte_request(read.start, read.stop)
        buffer = None
        with explained("read", read.address, self.url), contextlib.suppress(FileNotFoundError):
            buffer = await self.store.get(self._key(read.address), default_buffer_prototype(), wanted)
        return None if buffer is None else memoryview(buffer.to_bytes())

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write objects.

        Raises
        ------
        ReadOnlyStoreError
            The store is for reading only, or denies permission.
        StoreError
            The store fails.
        """
        self._check_writable()
        checked = [(check_address(address), data) for address, data in items]
        run_each(checked, self._write, REQUESTS_IN_FLIGHT)

    async def _write(self, item: tuple[str, BlobParts]) -> None:
        buffer = default_buffer_prototype().buffer.from_bytes(bytes(joined(item[1])))
        with explained("write", item[0], self.url):
            await self.store.set(self._key(item[0]), buffer)

    def put_if_absent(self, address: str, data: Bytes) -> bool:
        """Write one object unless its key is taken.

        The store's own conditional write does not say who won, so the object is read again: `data` must be
        of this caller alone. It is as atomic as the store makes it.
        """
        self._check_writable()
        check_address(address)
        if self.exists(address):
            return False
        buffer = default_buffer_prototype().buffer.from_bytes(bytes(data))
        run(self.store.set_if_not_exists(self._key(address), buffer))
        return self.get_many([Range(address)])[0] == data

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix, all at the same time.

        zarr-python stores give names without saying which are folders, so each name is looked up, except
        that of the metadata documents.
        """
        self._check_listable()
        return run_each([check_prefix(prefix) for prefix in prefixes], self._list_folder, REQUESTS_IN_FLIGHT)

    async def _list_folder(self, prefix: str) -> Listing:
        names: set[str] = set()
        with explained("list", prefix, self.url), contextlib.suppress(FileNotFoundError):
            names = {name.rstrip("/") async for name in self.store.list_dir(self._key(prefix))} - {""}
        if names == {prefix.rpartition("/")[2]} and await self._is_object(prefix):
            return Listing([], [])  # an object listed as if it were its own folder
        files = [name for name in names if name == "zarr.json" or await self._is_object(join(prefix, name))]
        return Listing(sorted(names.difference(files)), sorted(files))

    def list_all(self, prefix: str = "") -> list[str]:
        """List every address at any depth below a prefix, sorted."""
        self._check_listable()
        top = self._key(check_prefix(prefix))
        start = len(self.path) + 1 if self.path else 0

        async def collect() -> list[str]:
            return [key[start:] async for key in self.store.list_prefix(top + "/" if top else "")]

        return sorted(run(collect()))

    def exists(self, address: str) -> bool:
        """Say whether there is an object at an address."""
        return run(self._is_object(check_address(address)))

    async def _is_object(self, address: str) -> bool:
        """Read one byte: some stores say that folders exist, too."""
        if not await self.store.exists(self._key(address)):
            return False
        try:
            first = await self.store.get(self._key(address), default_buffer_prototype(), RangeByteRequest(0, 1))
        except (FileNotFoundError, IsADirectoryError):
            return False
        return first is not None

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete objects; absent ones are skipped."""
        self._check_writable()
        run_each([check_address(address) for address in addresses], self._delete, REQUESTS_IN_FLIGHT)

    async def _delete(self, address: str) -> None:
        with explained("delete", address, self.url), contextlib.suppress(FileNotFoundError, KeyError):
            await self.store.delete(self._key(address))

    def move_many(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Read objects, write them to their new addresses, and delete them at the old ones."""
        self._check_writable()
        run_each(list(pairs), self._move, REQUESTS_IN_FLIGHT)

    async def _move(self, pair: tuple[str, str]) -> None:
        source, target = check_address(pair[0]), check_address(pair[1])
        blob = await self._read(Read(source, None, None, []))
        if blob is not None:
            await self._write((target, blob))
            await self._delete(source)

    def zarr_store(self) -> Store:
        """Give the store itself, for reading only if this storage is."""
        if not self.path and (self.store.read_only or not self.read_only):
            return self.store
        return KeyedStorage.zarr_store(self)

    def _key(self, address: str) -> str:
        return join(self.path, address) if address else self.path

    def _check_listable(self) -> None:
        if not self.can_list:
            raise StoreError(
                f"{self.url} cannot list its folders; run consolidate_metadata on it where they can be listed"
            )


def _byte_request(start: int | None, stop: int | None) -> ByteRequest | None:
    if stop is not None:
        return RangeByteRequest(start or 0, stop)
    if not start:
        return None
    return OffsetByteRequest(start) if start > 0 else SuffixByteRequest(-start)
