"""What storages that keep bytes at keys share, whatever library reaches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import zarr.abc.store

from zarr_vectors.exceptions import ReadOnlyStoreError
from zarr_vectors.storage.adapter import StorageStore
from zarr_vectors.storage.port import check_prefix


class KeyedStorage:
    """A storage whose objects are at keys, without folders, moves or links of their own.

    A subclass reads, writes, lists and deletes many keys; what follows from these is here.
    """

    __slots__ = ()
    _remedy: ClassVar[str] = "it was opened for reading only; open it with mode='r+'"

    if TYPE_CHECKING:  # fields of some subclasses, which would take a property for their default

        @property
        def url(self) -> str:
            """Where the root is."""

        @property
        def read_only(self) -> bool:
            """Whether writes are refused."""

        def list_all(self, prefix: str = "") -> list[str]:
            """List every address below a prefix."""

        def delete_many(self, addresses: Sequence[str]) -> None:
            """Delete objects."""

    @property
    def name(self) -> str:
        """Last segment of the URL."""
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def can_list(self) -> bool:
        """Whether keys can be listed."""
        return True

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete everything below a prefix."""
        self._check_writable()
        self.delete_many(self.list_all(check_prefix(prefix)))

    def zarr_store(self) -> zarr.abc.store.Store:
        """Give the same place as a zarr-python store."""
        return StorageStore(self)  # type: ignore[arg-type]

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyStoreError(f"cannot write to {self.url}: {self._remedy}")
