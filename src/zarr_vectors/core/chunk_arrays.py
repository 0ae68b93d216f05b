"""What a group does with arrays that hold a payload for every chunk, one by one or many at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from zarr_vectors.core.batching import Allocation, NativeShards, WriteQueue, session_codecs
from zarr_vectors.core.given import as_mapping
from zarr_vectors.core.handle import StoreHandle
from zarr_vectors.core.nodes import node_path
from zarr_vectors.core.payloads import ChunkKey, Plan, as_plan, fetch_plan, list_keys, read_payload
from zarr_vectors.exceptions import StoreError
from zarr_vectors.formats.chunk_keys import parse_key
from zarr_vectors.typing import Bytes


class ChunkArrays:
    """The per-chunk arrays below a group of an open store, in the layout of its revision."""

    _handle: StoreHandle
    _path: str

    def list_chunk_keys(self, array_name: str) -> list[str]:
        """Return the keys (``"i.j.k"``) of the chunks of an array that hold something, in numeric order.

        Raises
        ------
        ArrayError
            There is no such array.
        """
        return list_keys(self._handle, node_path(self._path, array_name))

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
        path = node_path(self._path, array_name)
        ahead = self._handle.prefetched
        payload = None if ahead is None else ahead.payload(path, parse_key(chunk_key, path))
        return read_payload(self._handle, path, chunk_key) if payload is None else payload

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
        self._handle.require_writable()
        path = node_path(self._path, array_name)
        chunk = parse_key(chunk_key, path)
        if self._handle.prefetched is not None:
            self._handle.prefetched.forget(path, chunk)
        with self._queue() as queue:
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
        self._handle.require_writable()
        path = node_path(self._path, array_name)
        with self._queue() as queue:
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
        self._handle.require_writable()
        with self._queue() as queue:
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
        self._handle.require_writable()
        native = NativeShards.parse(grid_shape, shard_shape)
        path = node_path(self._path, array_name)
        with self._queue() as queue:
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
        handle = self._handle
        native = NativeShards.parse(grid_shape, shard_shape)
        if handle.native is not None:
            raise StoreError("native_sharded_arrays blocks cannot be nested")
        handle.native = native
        try:
            yield
        finally:
            handle.native = None

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
        handle = self._handle
        handle.require_writable()
        if handle.writes is not None:
            raise StoreError("batched_writes blocks cannot be nested")
        queue = WriteQueue(session_codecs(compressor, checksum), lays_out=True)
        handle.writes = queue
        try:
            yield
        finally:
            handle.writes = None
        queue.flush(handle)

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
        handle = self._handle
        if handle.prefetched is not None:
            raise StoreError("batched_reads blocks cannot be nested")
        handle.prefetched = fetch_plan(handle, [(node_path(self._path, name), keys) for name, keys in as_plan(plan)])
        try:
            yield
        finally:
            handle.prefetched = None

    @contextmanager
    def _queue(self) -> Iterator[WriteQueue]:
        """Give the queue of the block this call is in, else one that is written at once."""
        queue = self._handle.writes
        if queue is not None:
            yield queue
            return
        queue = WriteQueue(session_codecs(None))
        yield queue
        queue.flush(self._handle)
