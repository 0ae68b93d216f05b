"""Changing a level of an open dataset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from threading import RLock
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy.typing as npt

from zarr_vectors.edit.appending import Additions, put_vertices
from zarr_vectors.edit.attributes import put_attribute
from zarr_vectors.edit.change import Change, changing, stage_refreshed
from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.port import Storage
from zarr_vectors.write.tables import Attributes

T = TypeVar("T")


class _Dataset(Protocol):
    @property
    def storage(self) -> Storage: ...

    def reload(self) -> None: ...


class _Level(Protocol):
    @property
    def dataset(self) -> _Dataset: ...

    @property
    def index(self) -> int: ...


class ZVWriter:
    """A writer of one level, as ``dataset[0].writer()`` gives it.

    In a ``with`` or ``async with`` block everything is staged, under the lock of the store, and becomes final all at
    once at the end of the block or by :meth:`commit`; a block that raises changes nothing. Later steps of a block see
    what earlier ones staged; the dataset sees it when it is final. Outside of a block every step is final when it
    returns. Every asynchronous method has a twin that ends in ``_sync``.

    Parameters
    ----------
    level : ZVLevel
        The level; anything with ``dataset`` (``storage``, ``reload()``) and ``index`` will do.

    Examples
    --------
    >>> import numpy as np
    >>> from zarr_vectors.lazy import open_zv
    >>> from zarr_vectors.types.points import write_points
    >>> summary = write_points("memory://doc-writer", np.random.default_rng(0).uniform(0, 100, (1000, 3)))
    >>> with open_zv("memory://doc-writer", mode="r+") as dataset:
    ...     with dataset[0].writer() as writer:
    ...         writer.add_attribute_sync("height", np.arange(1000.0))
    ...         added = writer.append_vertices_sync([[1.0, 2.0, 3.0]], attributes={"height": [7.0]})
    ...     dataset.vertex_count(0)
    1001
    """

    def __init__(self, level: _Level) -> None:
        self._level = level
        self._in_block = False
        self._failed = False
        self._guard = RLock()
        self._stack: ExitStack | None = None
        self._change: Change | None = None

    async def add_attribute(self, name: str, values: Any, *, dtype: npt.DTypeLike | None = None) -> None:
        """Give every vertex of the level an attribute, or its attribute new values.

        Parameters
        ----------
        name : str
            Name of the attribute.
        values : (n,) or (n, C) array
            One row per vertex in the order of the kind's reader: stored order; of paths path after path.
        dtype : data type, optional
            What numbers are cast to first; they keep their precision otherwise.

        Raises
        ------
        ShapeError, ArgumentError
            When values have another number of rows, or cannot be stored.
        """
        await asyncio.to_thread(self.add_attribute_sync, name, values, dtype=dtype)

    def add_attribute_sync(self, name: str, values: Any, *, dtype: npt.DTypeLike | None = None) -> None:
        """Do what :meth:`add_attribute` does."""
        self._put("vertex", name, values, dtype)

    async def add_node_attribute(self, name: str, values: Any, *, dtype: npt.DTypeLike | None = None) -> None:
        """Give the nodes of a graph or skeleton an attribute; another name of :meth:`add_attribute`."""
        await self.add_attribute(name, values, dtype=dtype)

    def add_node_attribute_sync(self, name: str, values: Any, *, dtype: npt.DTypeLike | None = None) -> None:
        """Do what :meth:`add_node_attribute` does."""
        self.add_attribute_sync(name, values, dtype=dtype)

    async def add_face_attribute(self, name: str, values: Any, *, dtype: npt.DTypeLike | None = None) -> None:
        """Give the faces of a mesh (or the edges of a graph) an attribute, or their attribute new values.

        Parameters
        ----------
        name : str
            Name of the attribute.
        values : (m,) or (m, C) array
            One row per face in the order of ``read_mesh(…).faces`` of the whole level: by the offsets between the
            chunks of their vertices in ASCII order, then by the key of the chunk that they are filed under, then in
            stored order. Edges in the order of ``read_graph(…).edges``.
        dtype : data type, optional
            What numbers are cast to first.

        Raises
        ------
        ShapeError, ArgumentError
            When values have another number of rows, or cannot be stored.
        """
        await asyncio.to_thread(self.add_face_attribute_sync, name, values, dtype=dtype)

    def add_face_attribute_sync(self, name: str, values: Any, *, dtype: npt.DTypeLike | None = None) -> None:
        """Do what :meth:`add_face_attribute` does."""
        self._put("link", name, values, dtype)

    async def add_object_attribute(self, name: str, values: Any, *, dtype: npt.DTypeLike | None = None) -> None:
        """Give every object an attribute, or its attribute new values, at all levels.

        Parameters
        ----------
        name : str
            Name of the attribute.
        values : (o,) or (o, C) array
            One row per object in the order of the object index (ascending ids in stores written here).
        dtype : data type, optional
            What numbers are cast to first.

        Raises
        ------
        ShapeError, ArgumentError
            When values have another number of rows, or cannot be stored.
        UnknownNameError
            When the level has no objects.
        """
        await asyncio.to_thread(self.add_object_attribute_sync, name, values, dtype=dtype)

    def add_object_attribute_sync(self, name: str, values: Any, *, dtype: npt.DTypeLike | None = None) -> None:
        """Do what :meth:`add_object_attribute` does."""
        self._put("object", name, values, dtype)

    async def append_vertices(
        self,
        positions: npt.ArrayLike,
        *,
        object_ids: npt.ArrayLike | None = None,
        dtype: npt.DTypeLike | None = None,
        attributes: Attributes = None,
        object_attributes: Attributes = None,
        out_of_bounds: str = "raise",
    ) -> dict[str, int]:
        """Add vertices, and objects with them, to the level.

        A coarse level takes them where it is one of points. It is marked as stale then, since it does not follow from
        level 0 any more, and is without them once it is built anew.

        Parameters
        ----------
        positions, object_ids, dtype, attributes, object_attributes, out_of_bounds
            As in :func:`zarr_vectors.edit.append_vertices`. Rows without a value get the fill that the attribute
            declares, NaN for floats; an attribute without one needs values. Without ids every vertex is an object of
            its own, counting on from the highest id; where there are points without objects, new ones have none either.

        Returns
        -------
        dict
            ``vertices_added``, ``new_objects``, ``chunks_touched``.

        Raises
        ------
        ShapeError, ArgumentError, OutOfBoundsError
            For arguments that do not fit the store.
        """
        return await asyncio.to_thread(
            self.append_vertices_sync,
            positions,
            object_ids=object_ids,
            dtype=dtype,
            attributes=attributes,
            object_attributes=object_attributes,
            out_of_bounds=out_of_bounds,
        )

    def append_vertices_sync(
        self,
        positions: npt.ArrayLike,
        *,
        object_ids: npt.ArrayLike | None = None,
        dtype: npt.DTypeLike | None = None,
        attributes: Attributes = None,
        object_attributes: Attributes = None,
        out_of_bounds: str = "raise",
    ) -> dict[str, int]:
        """Do what :meth:`append_vertices` does."""
        given = Additions(positions, object_ids, attributes, object_attributes, dtype, out_of_bounds, numbered=True)
        return self._step(lambda change: put_vertices(change, given, self._level.index)).as_dict()

    async def commit(self, *, refresh: bool = False) -> None:
        """Make final what is staged; a block may go on afterwards.

        Parameters
        ----------
        refresh : bool
            Whether coarse levels that have become stale are built anew then.
        """
        await asyncio.to_thread(self.commit_sync, refresh=refresh)

    def commit_sync(self, *, refresh: bool = False) -> None:
        """Do what :meth:`commit` does."""
        with self._guard:
            self._refuse_failed()
            if refresh:
                self._refresh()
            changed = self._stack is not None
            self._end(None, None, None)
            if changed:
                self._level.dataset.reload()

    def __enter__(self) -> Self:
        """Begin a block."""
        if self._in_block:
            raise StoreError("this writer is in a block already; take another one for a block of its own")
        self._in_block, self._failed = True, False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make final what is staged, or forget it when the block raised."""
        self._in_block = False
        if kind is None:
            self.commit_sync()
        else:
            with self._guard:
                self._end(kind, error, trace)

    async def __aenter__(self) -> Self:
        """Begin a block."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make final what is staged, or forget it when the block raised."""
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    def _put(self, kind: str, name: str, values: Any, dtype: npt.DTypeLike | None) -> None:
        number = self._level.index
        self._step(lambda change: put_attribute(change, name, values, kind=kind, level=number, dtype=dtype))

    def _step(self, step: Callable[[Change], T]) -> T:
        """Do one step: stage it in a block, else make it final."""
        with self._guard:
            self._refuse_failed()
            change = self._begin()
            before = change.staged.touched
            try:
                result = step(change)
            except BaseException as error:
                if change.staged.touched != before or not self._in_block:
                    self._failed = self._in_block
                    self._end(type(error), error, error.__traceback__)
                raise
            if not self._in_block:
                self.commit_sync()
            return result

    def _refresh(self) -> None:
        """Build stale coarse levels anew with what is staged."""
        try:
            stage_refreshed(self._begin().staged)
        except BaseException as error:
            self._failed = self._in_block
            self._end(type(error), error, error.__traceback__)
            raise

    def _begin(self) -> Change:
        if self._change is None:
            with ExitStack() as stack:
                self._change = stack.enter_context(changing(self._level.dataset.storage, None, {}))
                self._stack = stack.pop_all()
        return self._change

    def _end(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the change that is open, if one is: make it final, or forget it because of an error."""
        stack, self._stack, self._change = self._stack, None, None
        if stack is not None:
            stack.__exit__(kind, error, trace)

    def _refuse_failed(self) -> None:
        if self._failed:
            raise StoreError(
                "a step of this block failed when part of it was staged, so that nothing of the block was kept; begin "
                "another block"
            )
