"""Groups: the low-level handle on a store's tree, over a storage that Zarr itself can open."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zarr

from zarr_vectors.core.arguments import as_blobs, as_document, as_extents, as_fill_value, as_mapping, as_whole
from zarr_vectors.core.chunks import (
    Allocation,
    ChunkKey,
    ChunkStore,
    NativeShards,
    Plan,
    WriteQueue,
    as_plan,
    session_codecs,
)
from zarr_vectors.core.handle import GroupAttributes, attributes_of, fill_value_of, node_path, parents_of
from zarr_vectors.encoding.compression import without_checksum
from zarr_vectors.encoding.flat import join_flat
from zarr_vectors.exceptions import ArgumentError, StoreError, StoreNotFoundError, UnknownNameError
from zarr_vectors.formats.chunk_keys import format_keys, parse_key
from zarr_vectors.formats.vlen_array import encode_vlen
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.dense import encode_dense
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.object import ObjectStorage
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.resolve import Mode, detect_scheme, resolve_storage
from zarr_vectors.storage.versioned import versions_of
from zarr_vectors.typing import Bytes, Document


@dataclass(frozen=True, slots=True)
class Backend:
    """How a store is reached.

    Parameters
    ----------
    name : {"local", "obstore", "icechunk", "zarr"}
        The library that reads and writes.
    scheme : str
        Scheme of the URL, ``""`` for a local path.
    url : str
        Where the root of the store is, without credentials.
    """

    name: str
    scheme: str
    url: str


def backend_of(storage: Storage) -> Backend:
    """Return how a storage is reached."""
    if isinstance(storage, LocalStorage):
        name = "local"
    elif isinstance(storage, ObjectStorage):
        name = "obstore"
    else:
        name = "icechunk" if versions_of(storage) is not None else "zarr"
    return Backend(name, detect_scheme(storage.url.removeprefix("icechunk+")), storage.url)


class Group:
    """A group of a store.

    Groups are made by ``create_store`` and ``open_store``, and by indexing another group. All groups of one
    open store share what has been read of it. Functions that take a path take a group as well.

    Parameters
    ----------
    zarr_group : zarr.Group
        A group of zarr-python; its store's root is the root of the Zarr Vectors store.
    """

    def __init__(self, zarr_group: zarr.Group) -> None:
        if not isinstance(zarr_group, zarr.Group):
            raise ArgumentError(
                f"zarr_group: expected a group of zarr-python, got {type(zarr_group).__name__}; a store is opened "
                "with open_store"
            )
        store = zarr_group.store
        mode: Mode = "r" if store.read_only or not store.supports_deletes else "r+"
        self._handle = ChunkStore(resolve_storage(store, mode=mode))
        self._path = zarr_group.path.strip("/")

    @classmethod
    def at(cls, handle: ChunkStore, path: str = "") -> Self:
        """Return the group at a path of an open store, without looking whether it is there."""
        group = cls.__new__(cls)
        group._handle = handle
        group._path = path
        return group

    @property
    def handle(self) -> ChunkStore:
        """What this group shares with all others of the same open store."""
        return self._handle

    @property
    def path(self) -> str:
        """Path of the group below the root of the store, ``""`` for the root itself."""
        return self._path

    @property
    def name(self) -> str:
        """Last segment of the path."""
        return self._path.rpartition("/")[2]

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self._handle.read_only

    @property
    def storage(self) -> Storage:
        """The storage, rooted at the root of the store.

        What is written to it directly is noticed: afterwards reads through this group open the store anew.
        """
        return self._handle.hand_out()

    @property
    def reader(self) -> StoreReader:
        """The open reader of the whole store, opened on first use and again after writes."""
        return self._handle.reader

    @property
    def zarr_group(self) -> zarr.Group:
        """The group as zarr-python sees it; what is written through it is noticed as with :attr:`storage`."""
        store = self.storage.zarr_store()
        mode: Mode = "r" if self.read_only else "r+"
        return zarr.open_group(store, path=self._path, mode=mode, zarr_format=3, use_consolidated=False)

    @property
    def backend(self) -> Backend:
        """How the store is reached: library, scheme and URL."""
        return backend_of(self._handle.storage)

    @property
    def attrs(self) -> GroupAttributes:
        """The group's attributes; changes are written at once, and refused in a store opened for reading."""
        return GroupAttributes(self._handle, self._path)

    def __repr__(self) -> str:
        """Name the store and the path."""
        mode = ", read-only" if self.read_only else ""
        return f"{type(self).__name__}({self._handle.storage.url!r}, path={self._path!r}{mode})"

    def __getitem__(self, key: str) -> Group:
        """Return a group below this one; ``key`` may hold slashes.

        Raises
        ------
        UnknownNameError
            Nothing is there, or an array is.
        """
        path = node_path(self._path, key)
        if not self._handle.group_exists(path):
            raise UnknownNameError(self._absence(key, path))
        return Group.at(self._handle, path)

    def _absence(self, key: str, path: str) -> str:
        url = self._handle.storage.url
        if self._handle.document(path) is not None:
            return f"{url}: {path!r} is an array, not a group; see zarr_group[{key!r}]"
        return f"{url}: no group {path!r}; {self._path or 'the root'!r} holds {self.children()}"

    def __contains__(self, key: object) -> bool:
        """Return whether a group or an array is below this group."""
        if not isinstance(key, str) or not key.strip("/"):
            return False
        try:
            path = node_path(self._path, key)
        except ArgumentError:
            return False  # no node can have such a name
        return self._handle.document(path) is not None or self._handle.group_exists(path)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the groups directly below this one (arrays are among :meth:`children` only)."""
        return iter(self._handle.child_groups(self._path))

    def children(self) -> list[str]:
        """Return the names of all nodes directly below this group, arrays and groups, sorted."""
        return self._handle.children(self._path)

    def create_group(self, name: str) -> Group:
        """Return a group below this one, made with those above it where it is not there.

        Raises
        ------
        StoreError
            An array is at the path.
        ReadOnlyStoreError
            The store was opened for reading.
        """
        path = node_path(self._path, name)
        self._handle.require_writable()
        made = self._handle.missing_groups([*parents_of(path), path])
        if made:
            self._handle.write_documents(made)
        return Group.at(self._handle, path)

    def array_exists(self, array_name: str) -> bool:
        """Return whether an array is at a path below this group.

        A group that holds one small array a chunk (revision 0.7) counts as the array that it stands for.
        """
        document = self._handle.document(node_path(self._path, array_name))
        if document is None:
            return False
        return document.get("node_type") == "array" or "zv_array" in (document.get("attributes") or {})

    def standalone_array_exists(self, path: str) -> bool:
        """Return whether a Zarr array, not a group, is at a path below this group."""
        document = self._handle.document(node_path(self._path, path))
        return document is not None and document.get("node_type") == "array"

    def read_array_attrs(self, path: str) -> Document:
        """Return the attributes of a Zarr array; ``{}`` where nothing is, or a group."""
        document = self._handle.document(node_path(self._path, path)) or {}
        return attributes_of(document, path) if document.get("node_type") == "array" else {}

    def read_array_meta(self, array_name: str) -> Document:
        """Return the attributes of a per-chunk array in either layout; ``{}`` where nothing is."""
        document = self._handle.document(node_path(self._path, array_name)) or {}
        return attributes_of(document, array_name)

    def read_array_fill_value(self, path: str) -> Any:
        """Return the fill value of a Zarr array.

        Raises
        ------
        StoreError
            Nothing is at the path, or a group.
        """
        document = self._handle.document(node_path(self._path, path))
        if document is None or document.get("node_type") != "array":
            found = "nothing is there" if document is None else "a group is there"
            raise StoreError(f"{self._handle.storage.url}: no array {node_path(self._path, path)!r}: {found}")
        return fill_value_of(document)

    def write_array(
        self,
        path: str,
        data: npt.ArrayLike,
        *,
        chunks: Sequence[int] | None = None,
        fill_value: Any = None,
        attributes: Mapping[str, Any] | None = None,
        compressors: Any = None,
        checksum: bool = True,
    ) -> None:
        """Write an ordinary Zarr array, in the place of one that is there.

        Parameters
        ----------
        path : str
            Path of the array below this group; groups above it are made where they are missing.
        data : array-like
            Numbers, booleans or strings.
        chunks : sequence of int, optional
            Zarr chunk shape; all of the array by default.
        fill_value : optional
            What stands for what is not stored; floats may be NaN or infinite.
        attributes : mapping, optional
            Attributes of the array.
        compressors : optional
            As `compressor` of :meth:`batched_writes`, whose own is taken by default; a sequence is a chain.
        checksum : bool, optional
            Whether what is stored ends with a checksum; in a block of :meth:`batched_writes` that says so by default.

        Raises
        ------
        ArgumentError
            The data type cannot be stored, or the chunk shape, the fill value or the attributes do not fit.
        StoreError
            A group is there.
        ReadOnlyStoreError
            The store was opened for reading.
        """
        self._handle.check_writable()
        target = node_path(self._path, path)
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise ArgumentError(f"data of {target}: expected an array, or lists of equal lengths: {error}") from error
        if array.dtype.kind == "O":
            raise ArgumentError(f"data of {target}: expected numbers, booleans or strings, got other objects")
        fill = as_fill_value(fill_value, array.dtype)
        shape = array.shape if chunks is None else as_extents("chunks", chunks, array.ndim)
        queue = self._handle.writes
        if compressors is not None or queue is None:
            codecs = session_codecs(compressors, checksum)
        else:
            codecs = [*queue.codecs] if checksum else without_checksum(queue.codecs)
        extents = tuple(max(1, n) for n in shape)
        described = as_document("attributes", attributes or {})
        objects = encode_dense(target, array, chunks=extents, fill_value=fill, codecs=codecs, attributes=described)
        self._handle.write_node(target, [*objects[1:], objects[0]])

    def write_vlen_array(
        self,
        path: str,
        blobs: Sequence[Bytes],
        *,
        chunks: int | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a one-dimensional array of byte strings, in the place of one that is there.

        Parameters
        ----------
        path : str
            Path of the array below this group; groups above it are made where they are missing.
        blobs : sequence of bytes-like
            Its elements. Without any no array is written, and one that is there is removed.
        chunks : int, optional
            Elements of a Zarr chunk; all by default.
        attributes : mapping, optional
            Attributes of the array.

        Raises
        ------
        ArgumentError
            Something that is not bytes-like is among the elements, or `chunks` is not a positive whole number.
        StoreError
            A group is there.
        ReadOnlyStoreError
            The store was opened for reading.
        """
        self._handle.check_writable()
        target = node_path(self._path, path)
        items = as_blobs("blobs", blobs)
        rows = len(items) if chunks is None else as_whole("chunks", chunks, at_least=1)
        described = as_document("attributes", attributes or {})
        if not items:
            self._handle.remove_node(target)
            return
        buffer, offsets = join_flat(items)
        queue = self._handle.writes
        codecs = session_codecs(None) if queue is None else queue.codecs
        self._handle.write_node(target, encode_vlen(target, buffer, offsets, rows, codecs, described))

    # Arrays with a payload a chunk

    def list_chunk_keys(self, array_name: str) -> list[str]:
        """Return the keys (``"i.j.k"``) of the chunks of an array that hold something, in numeric order.

        Raises
        ------
        ArrayError
            There is no such array.
        """
        path = node_path(self._path, array_name)
        return format_keys(self._handle.chunks_of(path, self._handle.document(path)))

    def read_bytes(self, array_name: str, chunk_key: ChunkKey) -> bytes:
        """Return the payload of one chunk of a per-chunk array.

        Parameters
        ----------
        array_name : str
            Path of the array below this group, for example ``"vertices"`` or ``"vertex_attributes/label"``.
        chunk_key : str or sequence of int
            ``"i.j.k"``, or the coordinates.

        Returns
        -------
        bytes
            Decompressed; ``b""`` for a chunk that holds nothing.

        Raises
        ------
        ArgumentError
            The key has not one component for each axis. Outside the grid nothing is held: ``b""``.
        ArrayError
            There is no such array, or the cell is damaged.
        """
        return self._handle.read(node_path(self._path, array_name), chunk_key)

    def write_bytes(self, array_name: str, chunk_key: ChunkKey, data: Bytes) -> None:
        """Write the payload of one chunk of a per-chunk array, and note the chunk in the array's metadata.

        An array that is not there is allocated in the layout of the store. In a sharded array the shard is
        read, changed and written again. Two writers of one array must not do this at the same time.

        Parameters
        ----------
        array_name : str
            Path of the array below this group.
        chunk_key : str or sequence of int
            ``"i.j.k"``, or the coordinates.
        data : bytes-like
            Uncompressed payload; empty data empties the cell.

        Raises
        ------
        ArgumentError
            The key has not one component for each axis, the chunk lies outside the grid of the array or, in revision
            0.7, the bounds of the store, or the data are no bytes.
        ReadOnlyStoreError
            The store was opened for reading.
        """
        path = node_path(self._path, array_name)
        chunk = parse_key(chunk_key, path)
        if self._handle.prefetched is not None:
            self._handle.prefetched.forget(path, chunk)
        with self._handle.queue() as queue:
            queue.put(path, chunk, data)

    def write_array_meta(self, array_name: str, meta: Mapping[str, Any]) -> None:
        """Set attributes of a per-chunk array; others that it has stay.

        An array that is not there is allocated in the layout of the store, or as ``native_sharded_arrays`` says.

        Parameters
        ----------
        array_name : str
            Path of the array below this group.
        meta : mapping
            Attributes, ``zv_array`` among them.

        Raises
        ------
        ReadOnlyStoreError
            The store was opened for reading.
        """
        path = node_path(self._path, array_name)
        with self._handle.queue() as queue:
            queue.allocations.setdefault(path, Allocation({}, self._handle.native))
            queue.describe(path, meta)

    def create_chunk_array(self, array_name: str, attributes: Mapping[str, Any]) -> None:
        """Make a per-chunk array in the layout of the store, or as ``native_sharded_arrays`` says.

        An array that is there and holds something stays as it is; an empty one takes the attributes.

        Parameters
        ----------
        array_name : str
            Path of the array below this group.
        attributes : mapping
            The array's own metadata, ``zv_array`` among them.

        Raises
        ------
        ArgumentError
            The array holds chunks of another type.
        ReadOnlyStoreError
            The store was opened for reading.
        """
        with self._handle.queue() as queue:
            path = node_path(self._path, array_name)
            queue.allocations[path] = Allocation(as_mapping("attributes", attributes), self._handle.native)

    def create_sharded_chunk_array(
        self,
        array_name: str,
        grid_shape: Sequence[int],
        *,
        shard_shape: Sequence[int] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Allocate an array of byte strings whose cells are the chunks of a level.

        Parameters
        ----------
        array_name : str
            Path of the array below this group; groups above it are made where they are missing.
        grid_shape : sequence of int
            Chunks along every axis, see :func:`zarr_vectors.spatial.chunking.compute_grid_shape`.
        shard_shape : sequence of int, optional
            Chunks of a shard along every axis; None stores one object a chunk.
        attributes : mapping, optional
            Attributes of the array. ``chunk_grid_origin`` says which chunk is the first of the grid; without it
            that of the level's vertices, or of the bounds, is taken.

        Raises
        ------
        ArgumentError
            The shapes are not positive whole numbers, or of different lengths.
        StoreError
            An array is there that holds something, or a group.
        """
        self._handle.check_writable()
        native = NativeShards.parse(grid_shape, shard_shape)
        path = node_path(self._path, array_name)
        with self._handle.queue() as queue:
            queue.allocations[path] = Allocation(as_mapping("attributes", attributes or {}), native, must_be_new=True)

    @contextmanager
    def native_sharded_arrays(self, shard_shape: Sequence[int], grid_shape: Sequence[int]) -> Iterator[None]:
        """Allocate per-chunk arrays in this block with a given grid and shards.

        Parameters
        ----------
        shard_shape : sequence of int
            Chunks of a shard along every axis.
        grid_shape : sequence of int
            Chunks along every axis.

        Raises
        ------
        StoreError
            The block is inside another of its kind.
        """
        native = NativeShards.parse(grid_shape, shard_shape)
        with self._handle.block("native_sharded_arrays", "native", native):
            yield

    @contextmanager
    def batched_writes(self, compressor: Any = None, *, checksum: bool = True) -> Iterator[None]:
        """Collect every :meth:`write_bytes` and :meth:`write_array_meta` of this block, and write all at its end.

        They go out in one gather of requests. Reads inside the block do not see them. A block that raises
        writes nothing.

        Parameters
        ----------
        compressor : optional
            Compression of arrays allocated in this block, as
            :func:`zarr_vectors.encoding.compression.resolve_compressor` takes it; None means that of Zarr v3
            itself (bytes and zstd). Arrays that hold something already keep theirs.
        checksum : bool, optional
            Whether they are stored with checksums; those of a level whose vertices have none get none.

        Raises
        ------
        StoreError
            The block is inside another of its kind.
        ReadOnlyStoreError
            The store was opened for reading.
        """
        self._handle.require_writable()
        queue = WriteQueue(self._handle, session_codecs(compressor, checksum), lays_out=True)
        with self._handle.block("batched_writes", "writes", queue):
            yield
        queue.flush()

    @contextmanager
    def batched_reads(self, plan: Plan) -> Iterator[None]:
        """Fetch every chunk of a plan in one gather of requests, and answer :meth:`read_bytes` from it.

        Before the gather the metadata of the arrays is read, and the indexes of shards where there are any.
        Chunks that are not in the plan are read one by one as usual.

        Parameters
        ----------
        plan : list of (str, list of chunk keys)
            Arrays below this group and chunks of each; arrays that are not there are left out.

        Raises
        ------
        ArgumentError
            A key has not one component for each axis of its array.
        StoreError
            The block is inside another of its kind.
        """
        fetched = self._handle.fetch([(node_path(self._path, name), keys) for name, keys in as_plan(plan)])
        with self._handle.block("batched_reads", "prefetched", fetched):
            yield


class FsGroup(Group):
    """A group in a folder.

    .. deprecated:: 1.0
        Use ``create_store`` or ``open_store``.

    Parameters
    ----------
    path : str or path
        Folder, or ``file://`` URL. It may be empty, or hold what is no store.
    create : bool
        Make the folder, and an empty Zarr group in it, where there is none.

    Raises
    ------
    StoreNotFoundError
        The folder is missing and `create` is false. It is a ``StoreError``.
    """

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        warnings.warn(
            "FsGroup is deprecated: use zarr_vectors.create_store or zarr_vectors.open_store",
            DeprecationWarning,
            stacklevel=2,
        )
        storage = resolve_storage(path, mode="r+", backend="local")
        handle = ChunkStore(storage)
        if not create and not Path(storage.url).is_dir():
            raise StoreNotFoundError(f"{storage.url}: no such folder; pass create=True to make it")
        if create and (made := handle.missing_groups([""])):
            handle.write_documents(made)
        self._handle = handle
        self._path = ""
