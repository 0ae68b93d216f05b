"""The keys of one Icechunk session: what the port asks, in terms of what Icechunk stores.

Icechunk stores the metadata documents of Zarr nodes and the chunks of arrays, and nothing else. A chunk can only be
stored where its array is there and its grid reaches that far. Writers put payloads first and documents last, so an
array gets a *stand-in* document, or a wider one, until its own comes; readers do not see it, and it is gone before
a commit.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import default_buffer_prototype

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.bridge import REQUESTS_IN_FLIGHT, read_ranges, run, run_each
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, parse_document
from zarr_vectors.storage.failures import explain, explained
from zarr_vectors.storage.port import (
    INTERNAL_PREFIX,
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
from zarr_vectors.typing import Document

BATCH_BYTES = 64 * 1024 * 1024
"""Amount of data that is taken from a writer before it is stored."""

_CHUNK = re.compile(r"(?:(.+)/)?c((?:/(?:0|[1-9][0-9]*))*)")
_SUFFIX = f"/{DOCUMENT_NAME}"
_STAND_IN_CHUNKS = 2**31
_AT_ONCE = 256

Grid = tuple[int, ...] | None
"""Chunks along every axis of an array; None where no array is."""


def is_document(address: str) -> bool:
    """Say whether an address is that of a node's metadata."""
    return address == DOCUMENT_NAME or address.endswith(_SUFFIX)


def node_of(address: str) -> str:
    """Give the path of the node whose metadata or chunk is at an address."""
    if is_document(address):
        return address[: -len(_SUFFIX)] if "/" in address else ""
    match = _CHUNK.fullmatch(address)
    return (match[1] or "") if match else ""


def chunk_of(address: str) -> tuple[int, ...] | None:
    """Give the chunk that an address stands for; None for addresses that are none of a chunk."""
    match = None if is_document(address) else _CHUNK.fullmatch(address)
    return None if match is None else tuple(int(part) for part in match[2].split("/")[1:])


def chunk_address(node: str, chunk: Iterable[int]) -> str:
    """Give the address of a chunk."""
    return join(node, "/".join(["c", *map(str, chunk)]))


class SessionKeys:
    """What a session holds, by address."""

    def __init__(self, session: Any, url: str) -> None:
        self.session = session
        self.url = url
        self._store = session.store
        self._shown: dict[str, bytes | None] = {}  # documents that readers see in the place of a stand-in
        self._put: set[str] = set()  # nodes put in this session, which may lack the groups above them
        self._grids: dict[str, Grid] = {}

    @property
    def changed(self) -> bool:
        """Whether the session has changes that are not committed."""
        return bool(self.session.has_uncommitted_changes)

    def clone(self) -> SessionKeys:
        """Give a copy with the same changes; either goes on without the other."""
        raw = self.session._session
        copy = SessionKeys(type(self.session)(type(raw).from_bytes(raw.as_bytes())), self.url)
        copy._shown, copy._put, copy._grids = dict(self._shown), set(self._put), dict(self._grids)
        return copy

    def settle(self) -> None:
        """Take back what stands in for documents that never came."""
        left, self._shown = self._shown, {}
        if left:
            run_each(list(left.items()), self._restore, REQUESTS_IN_FLIGHT)
        self._grids.clear()

    async def _restore(self, item: tuple[str, bytes | None]) -> None:
        if item[1] is None:
            await self._store.delete(item[0])
        else:
            await self._set(item[0], item[1])

    # Reading

    def get_many(self, requests: Sequence[Range]) -> list[Blob | None]:
        """Read many ranges, all at the same time, close ranges of one object together."""
        return read_ranges(requests, self._read)

    def read_whole(self, addresses: Sequence[str]) -> list[Blob | None]:
        """Read whole objects in one round."""
        return self.get_many([Range(address) for address in addresses])

    async def _read(self, read: Read) -> Blob | None:
        address, start, stop, _ = read
        if is_document(address):
            blob = await self._document(address)
            return None if blob is None else _part(blob, start, stop)
        if chunk_of(address) is None:
            return None
        try:
            wanted = None
            if start or stop is not None:
                size = await self._store.getsize(address)  # Icechunk wants ranges inside of the object
                first, last = _clamped(size, start, stop)
                if first >= last:
                    return b""
                wanted = RangeByteRequest(first, last)
            buffer = await self._store.get(address, default_buffer_prototype(), wanted)
        except (KeyError, FileNotFoundError):
            return None
        except Exception as error:
            if await self._grid(node_of(address)) is None:
                return None
            raise explain(error, "read", address, self.url) from error
        return None if buffer is None else memoryview(buffer.to_bytes())

    async def _document(self, address: str) -> bytes | None:
        """Give a document as readers are to see it."""
        if address in self._shown:
            return self._shown[address]
        return await self._stored(address)

    async def _stored(self, address: str) -> bytes | None:
        buffer = None
        with explained("read", address, self.url), contextlib.suppress(KeyError, FileNotFoundError):
            buffer = await self._store.get(address, default_buffer_prototype())
        return None if buffer is None else bytes(buffer.to_bytes())

    def exists(self, address: str) -> bool:
        """Say whether there is an object at an address."""
        return run(self._exists(check_address(address)))

    async def _exists(self, address: str) -> bool:
        if is_document(address):
            return await self._document(address) is not None
        if chunk_of(address) is None or await self._grid(node_of(address)) is None:
            return False
        return bool(await self._store.exists(address))

    async def _grid(self, node: str) -> Grid:
        """Give the chunk grid that Icechunk knows of an array; None where no array is."""
        if node not in self._grids:
            address = join(node, DOCUMENT_NAME)
            blob = await self._stored(address)
            self._grids[node] = None if blob is None else _grid_in(parse_document(blob, address))
        return self._grids[node]

    # Listing

    def list_all(self, prefix: str = "") -> list[str]:
        """List every address at any depth below a prefix, sorted."""
        return sorted(run(self._below(check_prefix(prefix))))

    async def _below(self, top: str) -> set[str]:
        start = f"{top}/" if top else ""
        if top.startswith(INTERNAL_PREFIX):
            return set()
        roots = {top} | {node for node in self._put if node.startswith(start)}
        if match := _CHUNK.fullmatch(top):
            roots.add(match[1] or "")
        if await self._stored(join(top, DOCUMENT_NAME)) is not None or not top:
            roots = {top}
        found: set[str] = set()
        for root in roots:
            if not root or await self._stored(join(root, DOCUMENT_NAME)) is not None:
                found.update([key async for key in self._each(self._store.list_prefix(root), root)])
        return {key for key in found if key.startswith(start) and self._shown.get(key, b"") is not None}

    async def _each(self, keys: AsyncIterator[str], where: str) -> AsyncIterator[str]:
        with explained("list", where, self.url):
            async for key in keys:
                yield key

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """List one level below each prefix, all at the same time."""
        return run_each([check_prefix(prefix) for prefix in prefixes], self._list_folder, REQUESTS_IN_FLIGHT)

    async def _list_folder(self, top: str) -> Listing:
        if top.startswith(INTERNAL_PREFIX):
            return Listing([], [])
        start = f"{top}/" if top else ""
        names = {node[len(start) :].partition("/")[0] for node in self._put if node.startswith(start)}
        names.update([key.rstrip("/") async for key in self._each(self._store.list_dir(top), top)])
        names -= {""}
        if self._shown.get(join(top, DOCUMENT_NAME), b"") is None:
            names.discard(DOCUMENT_NAME)
        if "c" in names and await self._grid(top) is not None and not await self._has_chunks(top):
            names.discard("c")
        files = []
        for name in names:
            address = join(top, name)
            if name == DOCUMENT_NAME or (chunk_of(address) is not None and await self._exists(address)):
                files.append(name)
        return Listing(sorted(names.difference(files)), sorted(files))

    async def _has_chunks(self, node: str) -> bool:
        """Say whether an array has chunks: its folder is listed even when all of them were deleted."""
        async for key in self._each(self._store.list_prefix(node), node):
            if chunk_of(key) is not None:
                return True
        return False

    # Writing

    def put_many(self, items: Iterable[tuple[str, BlobParts]]) -> None:
        """Write objects, documents before the chunks that come with them.

        Raises
        ------
        StoreError
            An address is neither that of a document nor of a chunk, or its group or array is of the other kind.
        """
        for documents, chunks in _batches(items, self.url):
            run_each(documents, self._put_document, REQUESTS_IN_FLIGHT)
            tops: dict[str, tuple[int, ...]] = {}
            for address, _ in chunks:
                node, chunk = node_of(address), chunk_of(address) or ()
                known = tops.get(node, chunk)
                tops[node] = tuple(map(max, known, chunk)) if len(known) == len(chunk) else chunk
            run_each(list(tops.items()), self._make_room, REQUESTS_IN_FLIGHT)
            run_each(chunks, self._put_chunk, REQUESTS_IN_FLIGHT)

    async def _put_document(self, item: tuple[str, bytes]) -> None:
        address, data = item
        node = node_of(address)
        document = parse_document(data, address)
        new = _grid_in(document)
        before = await self._stored(address)
        if before is not None:
            old = _grid_in(parse_document(before, address))
            if (old is None) != (new is None) or len(old or ()) != len(new or ()):
                await self._delete_document(address)
        self._shown.pop(address, None)
        await self._set(address, data)
        self._grids[node] = new
        self._put.add(node)

    async def _make_room(self, item: tuple[str, tuple[int, ...]]) -> None:
        """Let an array take chunks up to one, with a document that stands in for the one to come."""
        node, top = item
        grid = await self._grid(node)
        address = join(node, DOCUMENT_NAME)
        if grid is None:
            if await self._stored(address) is not None:
                raise StoreError(f"{self.url}: {node!r} is a group, which holds no chunks")
            self._shown[address] = None
            await self._set(address, document_bytes(_stand_in(len(top))))
            self._grids[node] = (_STAND_IN_CHUNKS,) * len(top)
            self._put.add(node)
            return
        if len(grid) != len(top):
            raise StoreError(f"{self.url}: {node!r} has {len(grid)} axes, so it takes no chunk {list(top)}")
        if _fits(top, grid):
            return
        stored = await self._stored(address)
        assert stored is not None
        self._shown.setdefault(address, stored)
        wider = tuple(max(count, 2 * (place + 1)) for place, count in zip(top, grid, strict=True))
        await self._set(address, document_bytes(_widened(parse_document(stored, address), wider)))
        self._grids[node] = wider

    async def _put_chunk(self, item: tuple[str, BlobParts]) -> None:
        await self._set(item[0], joined(item[1]))

    async def _set(self, address: str, data: Any) -> None:
        buffer = default_buffer_prototype().buffer.from_bytes(bytes(data))
        with explained("write", address, self.url):
            await self._store.set(address, buffer)

    def delete_many(self, addresses: Sequence[str]) -> None:
        """Delete objects. With the document of a node goes all that is in it, since Icechunk keeps no orphans."""
        chosen = {check_address(address) for address in addresses}
        documents = {address for address in chosen if is_document(address)}
        gone = {node_of(address) for address in documents}
        chunks = [one for one in chosen - documents if chunk_of(one) is not None and node_of(one) not in gone]
        inside: dict[str, list[str]] = {}
        for one in chunks:
            inside.setdefault(node_of(one), []).append(one)
        run_each(list(inside.items()), self._reach, REQUESTS_IN_FLIGHT)
        run_each(chunks, self._delete_chunk, REQUESTS_IN_FLIGHT)
        depths: dict[int, list[str]] = {}
        for address in documents:
            depths.setdefault(-address.count("/"), []).append(address)
        for depth in sorted(depths):
            run_each(depths[depth], self._delete_document, REQUESTS_IN_FLIGHT)

    async def _reach(self, item: tuple[str, list[str]]) -> None:
        """Widen the grid of an array to chunks that lie outside and are there: its document was put before this."""
        node, addresses = item
        grid = await self._grid(node)
        places = {one: chunk_of(one) or () for one in addresses}
        beyond = [one for one in addresses if grid and len(places[one]) == len(grid) and not _fits(places[one], grid)]
        if beyond:
            there = {key async for key in self._each(self._store.list_prefix(node), node)}
            found = [places[one] for one in beyond if one in there]
            if found:
                await self._make_room((node, tuple(map(max, *found)) if len(found) > 1 else found[0]))

    async def _delete_chunk(self, address: str) -> None:
        grid, chunk = await self._grid(node_of(address)), chunk_of(address) or ()
        if grid is None or len(grid) != len(chunk) or not _fits(chunk, grid):
            return
        await self._delete(address)

    async def _delete_document(self, address: str) -> None:
        node = node_of(address)
        await self._delete(address)
        start = f"{node}/" if node else ""
        inside = {one for one in self._put | set(self._grids) if one == node or one.startswith(start)}
        self._put -= inside
        for one in inside:
            self._grids.pop(one, None)
            self._shown.pop(join(one, DOCUMENT_NAME), None)
        self._shown.pop(address, None)

    async def _delete(self, address: str) -> None:
        with explained("delete", address, self.url), contextlib.suppress(KeyError, FileNotFoundError):
            await self._store.delete(address)


def _batches(
    items: Iterable[tuple[str, BlobParts]], url: str
) -> Iterator[tuple[list[tuple[str, bytes]], list[tuple[str, BlobParts]]]]:
    """Sort items into documents and chunks, a limited amount at a time."""
    documents: dict[str, bytes] = {}
    chunks: dict[str, BlobParts] = {}
    size = 0
    for address, data in items:
        check_address(address)
        if is_document(address):
            documents[address] = bytes(joined(data))
        elif chunk_of(address) is not None:
            whole = joined(data)
            chunks[address] = whole
            size += memoryview(whole).nbytes
        else:
            raise StoreError(
                f"cannot write {address!r} in {url}: Icechunk keeps the metadata and the chunks of Zarr arrays, and "
                "this is neither"
            )
        if size >= BATCH_BYTES:
            yield list(documents.items()), list(chunks.items())
            documents, chunks, size = {}, {}, 0
    yield list(documents.items()), list(chunks.items())


def _grid_in(document: Document) -> Grid:
    """Give the chunks along every axis that the document of an array states; None for a group."""
    if document.get("node_type") != "array":
        return None
    shape = document.get("shape") or []
    edges = document.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape") or [1] * len(shape)
    return tuple(-(-int(length) // max(1, int(edge))) for length, edge in zip(shape, edges, strict=True))


def _fits(chunk: tuple[int, ...], grid: tuple[int, ...]) -> bool:
    return all(place < count for place, count in zip(chunk, grid, strict=True))


def _stand_in(ndim: int) -> Document:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [_STAND_IN_CHUNKS] * ndim,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1] * ndim}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
        "attributes": {},
    }


def _widened(document: Document, grid: tuple[int, ...]) -> Document:
    """Give the document of an array with a shape that has so many chunks."""
    edges = document["chunk_grid"]["configuration"]["chunk_shape"]
    return {**document, "shape": [count * edge for count, edge in zip(grid, edges, strict=True)]}


def _clamped(size: int, start: int | None, stop: int | None) -> tuple[int, int]:
    if start is not None and start < 0:
        return max(0, size + start), size
    return start or 0, size if stop is None else min(stop, size)


def _part(blob: bytes, start: int | None, stop: int | None) -> Blob:
    first, last = _clamped(len(blob), start, stop)
    return blob if (first, last) == (0, len(blob)) else memoryview(blob)[first : max(first, last)]


@dataclass(frozen=True, slots=True)
class Change:
    """What one side changed: the store before and after, and the addresses whose content may differ."""

    before: SessionKeys
    after: SessionKeys
    keys: frozenset[str]
    _known: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    def differing(self, keys: Iterable[str]) -> Iterator[str]:
        """Give those of some addresses whose content does differ, reading some at a time."""
        for part in in_parts([key for key in keys if key in self.keys]):
            new = [key for key in part if key not in self._known]
            pairs = zip(new, read_bytes(self.before, new), read_bytes(self.after, new), strict=True)
            self._known.update((key, one != two) for key, one, two in pairs)
            yield from (key for key in part if self._known[key])

    def made_or_removed(self, keys: Iterable[str]) -> tuple[set[str], set[str]]:
        """Give those of some addresses that were not there before, and those that are not there any more."""
        made: set[str] = set()
        removed: set[str] = set()
        for part in in_parts([key for key in keys if key in self.keys]):
            for key, one, two in zip(part, read_bytes(self.before, part), read_bytes(self.after, part), strict=True):
                if one is None and two is not None:
                    made.add(key)
                elif two is None and one is not None:
                    removed.add(key)
        return made, removed


def change_between(before: SessionKeys, after: SessionKeys, differences: Any) -> Change:
    """Find the addresses that a change may have touched, by what Icechunk noted of it (``icechunk.Diff``)."""
    nodes = {_plain(path) for path in (*differences.new_groups, *differences.new_arrays)}
    nodes |= {_plain(path) for path in (*differences.updated_groups, *differences.updated_arrays)}
    gone = {_plain(path) for path in (*differences.deleted_groups, *differences.deleted_arrays)}
    gone |= {_plain(path) for pair in getattr(differences, "moved_nodes", ()) for path in pair}
    keys = {join(node, DOCUMENT_NAME) for node in nodes | gone}
    for path, chunks in differences.updated_chunks.items():
        keys.update(chunk_address(_plain(path), chunk) for chunk in chunks)
    for node in gone:
        keys.update(before.list_all(node))
        keys.update(after.list_all(node))
    return Change(before, after, frozenset(keys))


def _plain(path: str) -> str:
    return str(path).strip("/")


def in_parts(keys: list[str]) -> Iterator[list[str]]:
    """Give some addresses at a time, so that what is read of them fits into memory."""
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))


def read_bytes(keys: SessionKeys, addresses: list[str]) -> list[bytes | None]:
    """Read whole objects."""
    return [None if blob is None else bytes(blob) for blob in keys.read_whole(addresses)]
