"""Migration: read a store with one revision of the format and write it with another, verified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from zarr_vectors.constants import CROSS_CHUNK_LINK_ATTRIBUTES, CROSS_CHUNK_LINKS, LINK_ATTRIBUTES, LINKS
from zarr_vectors.exceptions import StoreError, StoreExistsError
from zarr_vectors.formats.detection import revision_named
from zarr_vectors.formats.revision import Revision
from zarr_vectors.model.cells import Cells
from zarr_vectors.read.compare import differences, read_level
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.opening import open_reader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.spatial.linking import with_link_fragments
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.replace import begin_replacement
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.typing import Document
from zarr_vectors.write.changing import hold_place
from zarr_vectors.write.level import write_level
from zarr_vectors.write.options import Progress, WriteOptions
from zarr_vectors.write.store import copy_other_groups, write_root

_CROSSINGS = {CROSS_CHUNK_LINKS: LINKS, CROSS_CHUNK_LINK_ATTRIBUTES: LINK_ATTRIBUTES}
"""Families of revision 0.7 whose contents revision 0.9 has in others."""

_DEPTHS = {LINKS: 1, LINK_ATTRIBUTES: 2}
"""How many levels of folders below them revision 0.7 has."""


@dataclass(frozen=True, slots=True)
class MigrationSummary:
    """What ``migrate`` did.

    Attributes
    ----------
    source_version, target_version : str
        Names of the two revisions.
    levels : tuple of int
        Levels that were written.
    vertex_count : int
        Vertices of all levels together.
    verified : bool
        Whether everything was read back and compared.
    """

    source_version: str
    target_version: str
    levels: tuple[int, ...]
    vertex_count: int
    verified: bool


def migrate(
    source: Any,
    target: Any,
    *,
    format_version: str = "0.9",
    compressor: Any = "auto",
    shard_shape: Any = "auto",
    checksum: bool | None = None,
    overwrite: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> MigrationSummary:
    """Convert a store to another revision of the format, without loss.

    Parameters
    ----------
    source : str, path, zarr Store or Group
        The store to read.
    target : str, path or zarr Store
        Where to write. The source itself may be named together with ``overwrite=True``: the new store is then
        written beside the old one and takes its place when it is complete.
    format_version : {"0.9", "0.7"}
        Revision to write.
    compressor, shard_shape
        As in ``write_points``.
    checksum : bool, optional
        Whether levels are stored with checksums; None means as those of the source are.
    overwrite : bool
        Whether a store at the target may be replaced.
    verify : bool
        Whether what was written is read back and compared before the target takes its place.
    progress : callable, optional
        Called with ``(done, total)`` levels.
    backend : str, optional
        Storage library, for source and target alike.
    **backend_kwargs
        Options of the object store.

    Raises
    ------
    StoreExistsError
        When a store is at the target and ``overwrite`` is not set.
    StoreError
        When what was written does not read back the same; the target is then as it was.
    """
    options = WriteOptions.parse(
        format_version=format_version,
        compressor=compressor,
        shard_shape=shard_shape,
        checksum=True if checksum is None else checksum,
        progress=progress,
    )
    store = open_reader(source, backend, **backend_kwargs)
    storage = resolve_storage(target, mode="w", backend=backend, **backend_kwargs)  # type: ignore[arg-type]
    revision = revision_named(format_version)
    with hold_place(storage) as there:
        if there is not None and not overwrite:
            raise StoreExistsError(f"{storage.url}: a store is there already; pass overwrite=True to replace it")
        return _rewrite(store, storage, revision, options, checksum=checksum, verify=verify)


def _rewrite(
    store: StoreReader,
    storage: Storage,
    revision: Revision,
    options: WriteOptions,
    *,
    checksum: bool | None,
    verify: bool,
) -> MigrationSummary:
    """Write a store anew in a place that is held."""
    numbers, progress = store.level_numbers(), options.progress
    total = len(numbers) * (2 if verify else 1)
    vertices = 0
    with begin_replacement(storage) as replacement:
        root = replace(store.root, zv_version=revision.stamp)
        for done, (number, cells) in enumerate(_levels(store, numbers), start=1):
            metadata = store.level(number, own=True).metadata
            attributes = store.level(number, own=True).attributes
            kept = store.stored_options(number).checksum if checksum is None else checksum
            write_level(
                replacement.staging,
                revision,
                root,
                metadata,
                cells,
                replace(options.layout, checksum=kept),
                previous=dict(attributes),
                kept=_unknown(store.level(number, own=True), revision),
            )
            vertices += cells.count
            if progress is not None:
                progress(done, total)
        copy_other_groups(store, replacement.staging)
        write_root(replacement.staging, revision, root, store.attributes)
        if verify:
            _verify(store, StoreReader.open(replacement.staging), numbers, progress, total)
    return MigrationSummary(store.revision.name, revision.name, tuple(numbers), vertices, verify)


def _unknown(level: LevelReader, revision: Revision) -> dict[str, Document]:
    """Return what nodes hold under unknown keys, by the nodes of a revision.

    What stands at an array of links that the other revision does not have goes to their family.
    """
    found: dict[str, Document] = {}
    for node, kept in level.unknown.items():
        family, *rest = node.split("/")
        family = _CROSSINGS.get(family, family)
        across = [name for name, inside in _CROSSINGS.items() if inside == family]
        if across and revision.keyed_by_chunk:
            rest = rest[: _DEPTHS[family]]
        for name in (family, *(across if revision.keyed_by_chunk else ())):
            target = "/".join([name, *rest])
            found[target] = {**found.get(target, {}), **kept}
    return found


def _levels(store: StoreReader, numbers: list[int]) -> Iterator[tuple[int, Cells]]:
    for number in numbers:
        cells = read_level(store, number)
        linked = store.level(number, own=True).arrays.link_fragments is not None
        yield number, with_link_fragments(cells) if linked else cells


def _verify(
    source: StoreReader, target: StoreReader, numbers: list[int], progress: Progress | None, total: int
) -> None:
    """Read both stores level by level and compare them.

    Raises
    ------
    StoreError
        Naming the level and what differs.
    """
    for done, number in enumerate(numbers, start=len(numbers) + 1):
        different = differences(read_level(source, number), read_level(target, number))
        if different:
            raise StoreError(
                f"{target.storage.url}: level {number} does not read back as it was written: "
                f"{', '.join(different)} differ; the store was not put in place"
            )
        if progress is not None:
            progress(done, total)


__all__ = ["MigrationSummary", "migrate"]
