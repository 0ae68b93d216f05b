"""An open LAS or LAZ file: what its header says, and its points in batches."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.convert.las.dimensions import Dimension, list_dimensions
from zarr_vectors.convert.las.header import header_document
from zarr_vectors.convert.las.records import Record, read_records
from zarr_vectors.convert.las.reference import Reference, read_reference
from zarr_vectors.convert.paths import existing_file
from zarr_vectors.exceptions import ArrayError, StoreError, UnknownNameError, ZarrVectorsError
from zarr_vectors.extras import require
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.read.query import parse_names
from zarr_vectors.typing import Document, FloatArray
from zarr_vectors.write.options import Progress

AXIS_NAMES = ("x", "y", "z")


@dataclass(frozen=True, slots=True)
class LasFile:
    """An open file.

    Parameters
    ----------
    name : str
        Path, for messages.
    reader : laspy.LasReader
        What reads it; from the first point on, once.
    dimensions : list of Dimension
        Everything that points have beside coordinates.
    reference : Reference
        Coordinate reference system and units.
    records : pair of lists of Record
        Variable length records before and behind the points.
    """

    name: str
    reader: Any
    dimensions: list[Dimension]
    reference: Reference
    records: tuple[list[Record], list[Record]]

    @property
    def count(self) -> int:
        """Number of points that the header promises."""
        return int(self.reader.header.point_count)

    @property
    def crs(self) -> Document | None:
        """Coordinate reference system as far as the file states it."""
        return self.reference.crs

    @property
    def axis_units(self) -> dict[str, str]:
        """Units of x, y and z where the file states them."""
        return {axis: unit for axis, unit in zip(AXIS_NAMES, self.reference.units, strict=True) if unit is not None}

    @property
    def attribute_specs(self) -> dict[str, AttributeSpec]:
        """Units, descriptions and channel names of the attributes."""
        return {dim.attribute: dim.spec for dim in self.dimensions}

    @property
    def document(self) -> Document:
        """The rest of the header, with its variable length records."""
        return {"file": Path(self.name).name, **header_document(self.reader.header, self.dimensions, self.records)}

    def row_bytes(self, names: Collection[str]) -> int:
        """Return how many bytes a point takes with some of its attributes."""
        kept = [dim for dim in self.dimensions if dim.attribute in names]
        return 3 * 8 + sum(dim.dtype.itemsize * (dim.channels or 1) for dim in kept)

    def names(self, wanted: Sequence[str] | None) -> list[str]:
        """Return the names of attributes, in the order asked for; all by default.

        Raises
        ------
        UnknownNameError
            For one that the file does not have.
        """
        known = [dim.attribute for dim in self.dimensions]
        wanted = parse_names("attributes", wanted)
        for name in wanted or ():
            if name not in known:
                raise UnknownNameError(f"attributes: {self.name} has no {name!r}; it has {sorted(known)}")
        return known if wanted is None else list(wanted)

    def batches(
        self, rows: int, names: Sequence[str] | None = None, progress: Progress | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the points in their order, as ``positions`` ``(n, 3)`` float64 and ``attributes`` by name.

        Parameters
        ----------
        rows : int
            Most points of a batch.
        names : sequence of str, optional
            Attributes to read; all by default.
        progress : callable, optional
            Called with ``(points read, points)``.

        Raises
        ------
        ArrayError
            When the file holds fewer points than its header promises.
        """
        by_name = {dim.attribute: dim for dim in self.dimensions}
        kept = [by_name[name] for name in self.names(names)]
        done = 0
        with _damage_named(self.name):
            for points in self.reader.chunk_iterator(rows) if self.count else ():
                done += len(points)
                yield {
                    "positions": self._positions(points),
                    "attributes": {dim.attribute: dim.values(points) for dim in kept},
                }
                if progress is not None:
                    progress(done, self.count)
        if done != self.count:
            raise ArrayError(f"{self.name}: the header promises {self.count} points, the file holds {done}")

    def read(self, names: Sequence[str] | None, rows: int, progress: Progress | None) -> dict[str, Any]:
        """Return all points as one batch, read in parts of at most some rows.

        Raises
        ------
        ArrayError
            When the file holds fewer points than its header promises, or it promises more than memory can hold.
        """
        kept = [dim for name in self.names(names) for dim in self.dimensions if dim.attribute == name]
        try:
            positions = np.empty((self.count, 3), np.float64)
            attributes = {dim.attribute: dim.empty(self.count) for dim in kept}
        except (MemoryError, ValueError) as error:
            raise ArrayError(
                f"{self.name}: the header promises {self.count} points, which memory cannot hold; it is damaged, "
                "or ingest_las makes a store of it within a budget of memory"
            ) from error
        done = 0
        for batch in self.batches(rows, names, progress):
            part = slice(done, done + len(batch["positions"]))
            positions[part] = batch["positions"]
            for name, values in batch["attributes"].items():
                attributes[name][part] = values
            done = part.stop
        return {"positions": positions, "attributes": attributes}

    def _positions(self, points: Any) -> FloatArray:
        header = self.reader.header
        scales, offsets = np.asarray(header.scales, np.float64), np.asarray(header.offsets, np.float64)
        positions = np.empty((len(points), 3), np.float64)
        for d, coordinate in enumerate(("X", "Y", "Z")):
            positions[:, d] = np.asarray(points[coordinate]) * scales[d] + offsets[d]
        return positions


@contextmanager
def open_las(path: str | os.PathLike[str]) -> Iterator[LasFile]:
    """Open a LAS or LAZ file.

    Raises
    ------
    MissingExtraError
        When laspy is not installed.
    StoreNotFoundError
        When there is no file.
    ArrayError
        When the file is not LAS, or is damaged.
    """
    laspy = require("laspy", "las", "LAS files")
    place = existing_file("source", path)
    name = str(place)
    with ExitStack() as stack:
        with _damage_named(name):
            reader = stack.enter_context(laspy.open(place, read_evlrs=False))
            with place.open("rb") as file:
                records = read_records(file, reader.header)
            reference = read_reference([*records[0], *records[1]])
            opened = LasFile(name, reader, list_dimensions(reader.header), reference, records)
        yield opened


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Turn what laspy raises for a file that it cannot read into an ArrayError that names the file."""
    laspy = require("laspy", "las", "LAS files")
    try:
        yield
    except (laspy.errors.LaspyException, ValueError, EOFError, RuntimeError) as error:
        if isinstance(error, ZarrVectorsError) and not isinstance(error, ArrayError):
            raise
        raise ArrayError(f"{name}: cannot be read as LAS: {error}") from error
    except OSError as error:
        raise StoreError(f"{name}: cannot be read: {error.strerror or error}") from error
