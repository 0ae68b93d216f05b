"""Levels 2 and 4: first components of chunk keys, in levels whose chunks go by more than space."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors.constants import OBJECT_INDEX, VERTICES
from zarr_vectors.formats.chunk_keys import format_keys, is_key
from zarr_vectors.ordering import offsets_of
from zarr_vectors.read.objects import read_columns
from zarr_vectors.rechunking.binning import OBJECT, VERTEX
from zarr_vectors.rechunking.described import read_description
from zarr_vectors.validate.blocks import Block
from zarr_vectors.validate.consistency import has_objects
from zarr_vectors.validate.rules import Problem, error
from zarr_vectors.validate.subjects import LevelSubject


def chunk_keys(level: LevelSubject) -> Iterator[Problem]:
    """Check that chunk keys have the components that the level says they have."""
    reader = level.reader
    width, names = _width(level), reader.metadata.chunk_dims
    if width is None:
        return
    expected = reader.root.ndim + reader.leads
    if names is not None and width != len(names):
        yield error(level.path, f"chunk keys have {width} components, but chunk_dims names {len(names)}: {list(names)}")
    elif width != expected:
        attribute = reader.metadata.chunk_attribute_name
        before = "" if attribute is None else f" and chunk_attribute_name is {attribute!r}"
        yield error(level.path, f"chunk keys have {width} components, but there are {reader.root.ndim} axes{before}")


def _width(level: LevelSubject) -> int | None:
    """Return the number of components of chunk keys; None without chunks."""
    if len(level.reader.chunks):
        return int(level.reader.chunks.shape[1])
    storage, path = level.store.storage, level.reader.arrays.vertices.path
    if level.store.revision.keyed_by_chunk and storage.can_list:  # folders with keys of another width are no chunks
        names = storage.list_folders([path])[0].folders
        return next((width for name in names if is_key(name, width := len(name.split(".")))), None)
    return None


def object_bins(level: LevelSubject) -> Iterator[Problem]:
    """Check that objects are in the chunks of the bin that their id, their attribute or their group is in."""
    reader = level.reader
    described = read_description(reader.metadata)
    assert described is not None
    ids = level.object_ids
    columns = read_columns(reader, dict(reader.arrays.object_attributes), None)
    found = described.of_objects(ids, columns, level.groups)
    if found is None or any(len(column.values) != len(ids) for column in columns.values()):
        return
    codes = np.repeat(found[0], np.diff(level.manifests.offsets))
    bad = np.flatnonzero(codes != level.manifests.chunks[:, 0])
    if len(bad):
        owner = ids[np.searchsorted(level.manifests.offsets, bad[0], side="right") - 1]
        key = format_keys(level.manifests.chunks[bad[:1]])[0]
        yield error(
            f"{level.path}/{OBJECT_INDEX}",
            f"object {owner} is in chunk {key}, but by {described.spec.by!r} its bin is {codes[bad[0]]} "
            f"({len(bad)} such references)",
        )


def goes_by_objects(level: LevelSubject) -> bool:
    """Return whether chunks go by objects, as the level says in a form that is understood."""
    described = read_description(level.reader.metadata)
    if described is None or described.scope != OBJECT or not has_objects(level):
        return False
    return _is_wide(level) and not level.reader.metadata.stale


def vertex_bins(block: Block) -> Iterator[Problem]:
    """Check that vertices are in the chunks of the bin that their attribute is in."""
    described = read_description(block.level.reader.metadata)
    assert described is not None
    rows = block.attributes[described.spec.attribute or ""]
    counts = np.diff(rows.offsets)
    if not described.fits(rows.column):
        return
    codes, filed = described.of_column(rows.column)[0], np.repeat(block.chunks[:, 0], counts)
    bad = np.flatnonzero(codes != filed)
    if len(bad):
        chunk = int(np.searchsorted(offsets_of(counts), bad[0], side="right")) - 1
        yield error(
            f"{block.level.path}/{VERTICES}",
            f"chunk {block.key(chunk)} holds vertices whose bin by {described.spec.by!r} is {codes[bad[0]]} "
            f"({len(bad)} such vertices)",
        )


def goes_by_vertices(block: Block) -> bool:
    """Return whether chunks go by an attribute of vertices that is stored; at coarse levels that is aggregated."""
    level = block.level
    described = read_description(level.reader.metadata)
    if described is None or described.scope != VERTEX or level.number:
        return False
    return described.spec.attribute in block.attributes and _is_wide(level)


def _is_wide(level: LevelSubject) -> bool:
    return bool(level.reader.chunks.shape[1] == level.reader.root.ndim + 1)
