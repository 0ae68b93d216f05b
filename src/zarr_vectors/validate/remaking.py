"""Level 5: a coarse level made anew from full resolution, compared with the one that is stored.

This serves levels whose metavertices are not simply those of bins: paths, trees, contracted graphs and surfaces,
levels that share metavertices and those whose chunks go by a value. Both are in memory as a whole, so that it is done
up to :data:`LARGEST` vertices of full resolution.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from zarr_vectors.constants import XLEVEL_NONE
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import Cells, ObjectTable
from zarr_vectors.model.links import LinkTable
from zarr_vectors.model.metadata import AGGREGATION
from zarr_vectors.multiresolution.building import build_levels, holds_paths
from zarr_vectors.multiresolution.modes import chosen_mode
from zarr_vectors.multiresolution.plan import CrossLevel, LevelPlan
from zarr_vectors.read.cells import read_cells
from zarr_vectors.read.compare import differences
from zarr_vectors.read.elements import link_specs
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.typing import IntArray
from zarr_vectors.validate.coherence import CoherenceSubject, obstacle
from zarr_vectors.validate.rules import Problem, error, note

LARGEST = 10_000_000
"""Vertices of full resolution up to which levels are made anew as a whole."""

_ULPS = 8
_METHOD = "per_object"


def hindrance(subject: CoherenceSubject) -> str:
    """Return why a level cannot be made anew as a whole; empty where it can."""
    pyramid, level, finest = subject.pyramid, subject.pyramid.level, subject.pyramid.finest
    if finest is None or pyramid.bin_ratio is None:
        return "full resolution or the bin shape is not known"
    metadata = level.reader.metadata
    if not level.is_ours or metadata.coarsening_method != _METHOD or AGGREGATION not in metadata.extra:
        return "it was made by rules of another writer"
    if metadata.stale:
        return "it is stale"
    if metadata.rechunked:
        return "it was rechunked after it was made, which keeps its vertices and changes their order"
    if level.failed or finest.failed:
        return "errors were found in it or in full resolution"
    if level.is_sampled or finest.is_sampled:
        return "only a sample of its chunks was asked for"
    if finest.reader.metadata.vertex_count > LARGEST:
        return f"full resolution has more than {LARGEST} vertices"
    encoding = finest.reader.arrays.vertices.spec.encoding
    return "" if encoding in (None, "raw") else f"its positions are encoded as {encoding!r}"


def recomputable(subject: CoherenceSubject) -> Iterator[Problem]:
    """Check that coarse levels can be compared with full resolution."""
    reason = obstacle(subject) and hindrance(subject)
    if reason:
        yield note(subject.pyramid.level.path, f"the level was not compared with full resolution: {reason}")


def is_remade(subject: CoherenceSubject) -> bool:
    """Return whether a level is to be compared as a whole, since its metavertices are not simply those of bins."""
    return bool(obstacle(subject)) and not hindrance(subject)


def remade(subject: CoherenceSubject) -> Iterator[Problem]:
    """Check that a coarse level holds what its making from full resolution gives."""
    level = subject.pyramid.level
    made, stored = _make(subject), read_cells(level.reader)
    names = {name for name in subject.modes if name in made.attributes and name in stored.attributes}
    names = {name for name in names if not _made_otherwise(stored.attributes[name].spec)}
    found = differences(_comparable(made, names), _comparable(stored, names), ulps=_ULPS)
    for path, message in found.items():
        yield error(f"{level.path}/{path}", f"{message} from what full resolution makes; build the pyramid again")
        return


def _make(subject: CoherenceSubject) -> Cells:
    """Make the level anew by what its metadata records."""
    pyramid, level, finest = subject.pyramid, subject.pyramid.level, subject.pyramid.finest
    assert finest is not None
    assert pyramid.bin_ratio is not None
    store, metadata = level.store, level.reader.metadata
    fold = tuple(round(ratio) for ratio in pyramid.bin_ratio)
    scale = tuple(int(s) for s in level.reader.chunk_scale)
    plan = LevelPlan(level.number, fold, 1 / metadata.object_sparsity, scale, level.reader.grid)
    below = finest.reader.arrays.vertex_attributes
    modes = {name: mode for name, mode in subject.modes.items() if name in below}
    counted = [name for name in subject.modes if name not in below]
    stated = {name: spec.aggregation for name, spec in link_specs(level.reader.arrays).items()}
    link_modes = {
        name: stated.get(name) or chosen_mode(name, spec, None, {})
        for name, spec in link_specs(finest.reader.arrays).items()
    }
    ids = ordered_object_ids(finest.reader)
    kept = None if ids is None else [np.isin(ids, level.present)]
    assert store.reader is not None
    built = build_levels(
        store.reader,
        [plan],
        modes,
        link_modes,
        counted,
        CrossLevel(XLEVEL_NONE, 0),
        "random",
        None,
        kept=kept,
        shared=metadata.shared_fragments and holds_paths(store.reader),
    )
    return built.cells[0]


def _made_otherwise(spec: AttributeSpec) -> bool:
    """Return whether values do not state how they were made: whole numbers were rounded by other rules then."""
    return spec.aggregation is None and np.dtype(spec.dtype).kind in "iu"


def _comparable(cells: Cells, names: Collection[str]) -> Cells:
    """Return what follows from full resolution: categories by name, links inside the level whichever way they lead."""
    attributes = {name: _plain(column) for name, column in cells.attributes.items() if name in names}
    objects = None
    if cells.objects is not None:
        objects = ObjectTable(cells.objects.ids, cells.objects.manifests)
    links = tuple(_undirected(table, cells.row_offsets) for table in cells.links if table.delta == 0)
    return Cells(
        cells.chunks, cells.row_offsets, cells.positions, cells.fragments, attributes, objects=objects, links=links
    )


def _plain(column: Column) -> Column:
    categories = column.spec.categories
    if categories is None:
        return Column(column.values, AttributeSpec())
    return Column(np.array([*categories, None], object)[column.values], AttributeSpec())


def _undirected(table: LinkTable, row_offsets: IntArray) -> LinkTable:
    rows = np.sort(row_offsets[:-1][table.chunks] + table.rows, axis=1)
    return LinkTable(0, np.zeros_like(rows), rows, table.here, table.there)
