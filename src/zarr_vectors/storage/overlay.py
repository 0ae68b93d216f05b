"""Reading a store as it will be when a journal has been applied to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zarr_vectors.exceptions import ReadOnlyStoreError
from zarr_vectors.storage.layers import ReadingLayer, changed_listing
from zarr_vectors.storage.port import INTERNAL_PREFIX, Blob, Listing, Range, Storage, check_address, check_prefix, join


@dataclass(frozen=True, slots=True)
class OverlayStorage(ReadingLayer):
    """A storage seen through staged objects and deletions; it refuses writes.

    Attributes
    ----------
    inner : Storage
        The store as it is.
    folder : str
        Where, within `inner`, the staged objects lie under their own addresses.
    staged : set of str
        Addresses that have been staged.
    deleted : set of str
        Addresses that are to be deleted.
    hides_inner : bool
        Show the staged objects alone, as if everything else had been deleted.
    """

    inner: Storage
    folder: str
    staged: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    hides_inner: bool = False

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read staged objects where there are any, else those of the store.

        A staged object that is not there any more has been moved into place by whoever applies the journal
        at this moment; it is then read there, in a second round.
        """
        shown = [place for place, request in enumerate(requests) if self._shows(request.address)]
        wanted = [self._placed(requests[place]) for place in shown]
        results: list[Blob | None] = [None] * len(requests)
        for place, blob in zip(shown, self.inner.get_many(wanted) if wanted else [], strict=True):
            results[place] = blob
        moved = [place for place in shown if results[place] is None and requests[place].address in self.staged]
        if moved:
            again = self.inner.get_many([requests[place] for place in moved])
            for place, blob in zip(moved, again, strict=True):
                results[place] = blob
        return results

    def _shows(self, address: str) -> bool:
        check_address(address)
        return address in self.staged or not (self.hides_inner or address in self.deleted)

    def _placed(self, request: Range) -> Range:
        if request.address not in self.staged:
            return request
        return request._replace(address=join(self.folder, request.address))

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix, with what is staged and without what is deleted."""
        tops = [check_prefix(prefix) for prefix in prefixes]
        below = [Listing([], [])] * len(tops) if self.hides_inner else self.inner.list_folders(tops)
        return [
            changed_listing(self, top, listing, self.staged, self.deleted)
            for top, listing in zip(tops, below, strict=True)
        ]

    def list_all(self, prefix: str = "") -> list[str]:
        """List every address at any depth, with what is staged and without what is deleted."""
        top = check_prefix(prefix)
        start = f"{top}/" if top else ""
        found = {address for address in self.staged if address.startswith(start)}
        if not self.hides_inner:
            inner = (one for one in self.inner.list_all(top) if not one.startswith(INTERNAL_PREFIX))
            found.update(one for one in inner if one not in self.deleted)
        return sorted(found)

    def exists(self, address: str) -> bool:
        """Say whether an object is staged, or there and not deleted."""
        if not self._shows(address):
            return False
        return address in self.staged or self.inner.exists(address)

    def _refusal(self) -> ReadOnlyStoreError:
        return ReadOnlyStoreError(
            f"cannot write to {self.url}: a change to it was interrupted and is being looked through; "
            f"open it with mode='r+', which completes the change"
        )
