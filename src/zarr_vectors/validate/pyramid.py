"""Level 5: coarse levels follow from the levels they were made from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.model.grid import Grid
from zarr_vectors.validate.blocks import BlockReader
from zarr_vectors.validate.consistency import has_objects
from zarr_vectors.validate.rules import Problem, error, note, warning
from zarr_vectors.validate.subjects import LevelSubject

_TOLERANCE = 1e-6


@dataclass
class PyramidSubject:
    """A coarse level and the levels that it was made from.

    Parameters
    ----------
    level : LevelSubject
        The coarse level, open.
    levels : mapping of int to LevelSubject
        All levels that are open.
    reader : BlockReader
        Reads and keeps decoded chunks.
    """

    level: LevelSubject
    levels: dict[int, LevelSubject]
    reader: BlockReader

    @property
    def parent(self) -> LevelSubject | None:
        """The level that this one was made from, where it is known and open."""
        return self.levels.get(self.parent_number)

    @property
    def parent_number(self) -> int:
        """Index of the level that this one was made from; the finer neighbour where none is stated."""
        stated = self.level.reader.metadata.parent_level
        if stated is None:
            return self.level.number - 1
        return stated if isinstance(stated, int) and not isinstance(stated, bool) else -1

    @property
    def finest(self) -> LevelSubject | None:
        """Full resolution."""
        return self.levels.get(0)

    @property
    def bin_ratio(self) -> tuple[float, ...] | None:
        """Bin shape over that of full resolution."""
        return ratio_of(self.level)

    @property
    def bins(self) -> Grid | None:
        """Bins of the coarse level as chunks of the bins of full resolution."""
        base, ratio = self.level.store.root.base_bin, self.bin_ratio
        return None if ratio is None else Grid(tuple(b * r for b, r in zip(base, ratio, strict=True)), base)

    def breach(self, path: str, message: str) -> Problem:
        """Return an error, or a note where another writer made the level by rules of its own."""
        return error(path, message) if self.level.is_ours else note(path, message)


def ratio_of(level: LevelSubject) -> tuple[float, ...] | None:
    """Return the bin ratio that a level or the root states; None where there is none with a number per axis."""
    entry = level.store.root.entry(level.number)
    ratio = level.reader.metadata.bin_ratio or (entry.bin_ratio if entry else None)
    usable = ratio is not None and len(ratio) == level.store.root.ndim and all(0 < r < math.inf for r in ratio)
    return ratio if usable else None


def levels_ascending(pyramid: PyramidSubject) -> Iterator[Problem]:
    """Check that bins do not get smaller from one level to the next."""
    finer = [number for number in pyramid.levels if number < pyramid.level.number]
    ratio = pyramid.bin_ratio
    if ratio is None:
        yield note(pyramid.level.path, "no bin ratio is stated, so the level cannot be compared with full resolution")
        return
    before = ratio_of(pyramid.levels[max(finer)]) if finer else None
    if before is not None and any(r < b * (1 - _TOLERANCE) for r, b in zip(ratio, before, strict=True)):
        yield error(
            pyramid.level.path, f"bin ratio {list(ratio)} is smaller than {list(before)}, that of level {max(finer)}"
        )


def chunk_multiples(pyramid: PyramidSubject) -> Iterator[Problem]:
    """Check that a level's chunk shape is a whole multiple of the root's on every axis."""
    shape, root = pyramid.level.reader.metadata.chunk_shape, pyramid.level.store.root
    if not shape:
        return
    multiples = np.array(shape) / np.array(root.chunk_shape)
    if (np.abs(multiples - np.round(multiples)) > _TOLERANCE * multiples).any() or (multiples < 1 - _TOLERANCE).any():
        yield error(
            pyramid.level.path,
            f"chunk_shape {list(shape)} is not a whole multiple of the root's {list(root.chunk_shape)}",
        )


def bins_nest(pyramid: PyramidSubject) -> Iterator[Problem]:
    """Check that every chunk of a coarse level holds a whole number of bins."""
    try:
        pyramid.level.reader.grid.require_nesting()
    except ArgumentError as failure:
        yield pyramid.breach(pyramid.level.path, str(failure))


def parent_exists(pyramid: PyramidSubject) -> Iterator[Problem]:
    """Check that the level that this one was made from is there and is finer."""
    parent, stated = pyramid.parent_number, pyramid.level.reader.metadata.parent_level
    if parent not in pyramid.levels or not parent < pyramid.level.number:
        yield error(
            pyramid.level.path,
            f"parent_level is {stated!r}, which is no finer level of the store ({sorted(pyramid.levels)})",
        )


def counts_shrink(pyramid: PyramidSubject) -> Iterator[Problem]:
    """Check that a level has no more vertices than the level it was made from."""
    parent = pyramid.parent
    if parent is None or pyramid.level.reader.metadata.stale:
        return
    if parent.reader.metadata.shared_fragments and not pyramid.level.reader.metadata.shared_fragments:
        return  # what paths share in the parent, each of them has of its own here
    if not _nests(ratio_of(pyramid.level), ratio_of(parent)):
        return  # bins of the parent may be cut in two
    count, before = pyramid.level.reader.metadata.vertex_count, parent.reader.metadata.vertex_count
    if count > before:
        yield error(pyramid.level.path, f"{count} vertices were made from the {before} of level {parent.number}")


def _nests(coarse: tuple[float, ...] | None, fine: tuple[float, ...] | None) -> bool:
    """Return whether every bin lies in one coarser bin, as far as the ratios are known."""
    if coarse is None or fine is None:
        return True
    multiples = np.array(coarse) / np.array(fine)
    return bool((np.abs(multiples - np.round(multiples)) <= _TOLERANCE * multiples).all())


def fresh(pyramid: PyramidSubject) -> Iterator[Problem]:
    """Check that the level is not older than the level it was made from."""
    if pyramid.level.reader.metadata.stale:
        yield warning(pyramid.level.path, "the level is marked stale: a finer level changed; build the pyramid again")


def objects_kept(pyramid: PyramidSubject) -> Iterator[Problem]:
    """Check that where object ids are kept, a level's objects are among those of the level it was made from."""
    parent = pyramid.parent
    assert parent is not None
    strangers = np.setdiff1d(pyramid.level.present, parent.present)
    if len(strangers):
        yield error(
            f"{pyramid.level.path}/object_index",
            f"object {strangers[0]} has vertices here, but none at level {parent.number} "
            f"({len(strangers)} such objects)",
        )


def keeps_ids(pyramid: PyramidSubject) -> bool:
    """Return whether a level that is not stale says that it keeps object ids, and both levels have objects."""
    parent, metadata = pyramid.parent, pyramid.level.reader.metadata
    stated = metadata.preserves_object_ids and not metadata.stale
    return bool(stated) and parent is not None and has_objects(pyramid.level) and has_objects(parent)


def sparsity(pyramid: PyramidSubject) -> Iterator[Problem]:
    """Check that the number of objects kept is ``object_sparsity`` times that of full resolution, rounded."""
    finest = pyramid.finest
    assert finest is not None
    stated, kept = pyramid.level.reader.metadata.object_sparsity, len(pyramid.level.present)
    wanted = len(finest.object_ids) * stated
    empty = len(finest.object_ids) - len(finest.present)
    if not wanted - empty - 0.5 - _TOLERANCE <= kept <= wanted + 0.5 + _TOLERANCE:
        yield pyramid.breach(
            f"{pyramid.level.path}/object_index",
            f"object_sparsity {stated:g} of {len(finest.object_ids)} objects is {wanted:g}, but {kept} are kept",
        )


def has_sparsity(pyramid: PyramidSubject) -> bool:
    """Return whether kept objects can be counted, and are those of full resolution as it is now."""
    if pyramid.level.reader.metadata.stale:
        return False
    return pyramid.finest is not None and has_objects(pyramid.level) and has_objects(pyramid.finest)
