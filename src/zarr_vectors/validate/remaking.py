"""Level 5: a coarse level made anew from full resolution, compared with the one that is stored.

This serves levels whose metavertices are not simply those of bins: paths, trees, contracted graphs and surfaces,
levels that share metavertices and those whose chunks go by a value. Both are in memory as a whole, so that it is done
up to :data:`LARGEST` vertices of full resolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from zarr_vectors.constants import XLEVEL_NONE
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.links import LinkTable
from zarr_vectors.model.metadata import AGGREGATION
from zarr_vectors.multiresolution.building import build_levels, holds_paths
from zarr_vectors.multiresolution.modes import chosen_mode
from zarr_vectors.multiresolution.plan import CrossLevel, LevelPlan
from zarr_vectors.ordering import lexicographic_order
from zarr_vectors.read.cells import read_cells
from zarr_vectors.read.elements import link_specs
from zarr_vectors.read.ordered_objects import ordered_object_ids
from zarr_vectors.typing import AnyArray, IntArray
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
    for path, message in _differences(made, stored, subject.modes):
        yield error(f"{level.path}/{path}", f"{message}; build the pyramid again")
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


def _differences(made: Cells, stored: Cells, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Say where two levels differ, the array and how."""
    if not np.array_equal(made.chunks, stored.chunks):
        yield "vertices", f"its {len(stored.chunks)} chunks are not the {len(made.chunks)} that full resolution makes"
    elif not np.array_equal(made.row_offsets, stored.row_offsets):
        wrong = int((made.row_counts != stored.row_counts).sum())
        yield "vertices", f"{wrong} chunks do not hold as many metavertices as full resolution makes"
    else:
        yield from _differing_rows(made, stored, names)
        yield from _differing_objects(made, stored)
        yield from _differing_links(made, stored)


def _differing_rows(made: Cells, stored: Cells, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    wrong = _unlike(made.positions, stored.positions)
    if wrong:
        yield "vertices", f"{wrong} of {stored.count} metavertices are not where full resolution puts them"
    for name in names:
        expected, found = made.attributes.get(name), stored.attributes.get(name)
        if expected is None or found is None or _made_otherwise(found.spec):
            continue
        wrong = _unlike(_values(expected), _values(found))
        if wrong:
            yield f"vertex_attributes/{name}", f"{wrong} of {stored.count} values do not follow from full resolution"


def _made_otherwise(spec: AttributeSpec) -> bool:
    """Return whether values do not state how they were made: whole numbers were rounded by other rules then."""
    return spec.aggregation is None and np.dtype(spec.dtype).kind in "iu"


def _values(column: Column) -> AnyArray:
    """Return numbers that can be compared: categories by name."""
    categories = column.spec.categories
    return column.values if categories is None else np.array([*categories, None], object)[column.values]


def _unlike(expected: AnyArray, found: AnyArray) -> int:
    """Return how many rows differ by more than rounding."""
    if expected.shape != found.shape:
        return max(len(expected), len(found))
    if found.dtype.kind == "f":
        near = np.isclose(expected, found, rtol=_ULPS * np.finfo(found.dtype).eps, atol=0.0, equal_nan=True)
    else:
        near = expected == found
    return int((~near.all(axis=tuple(range(1, near.ndim)))).sum())


def _differing_objects(made: Cells, stored: Cells) -> Iterator[tuple[str, str]]:
    ours, theirs = made.fragments, stored.fragments
    if not (np.array_equal(ours.offsets, theirs.offsets) and np.array_equal(ours.counts, theirs.counts)):
        yield "vertex_fragments", f"its {theirs.count} fragments are not the {ours.count} that full resolution makes"
    elif made.objects is not None and stored.objects is not None:
        expected, found = made.objects.manifests, stored.objects.manifests
        if expected is None or found is None:
            return
        same = (
            np.array_equal(made.objects.ids, stored.objects.ids)
            and np.array_equal(expected.offsets, found.offsets)
            and np.array_equal(expected.chunks, found.chunks)
            and np.array_equal(expected.fragments, found.fragments)
        )
        if not same:
            yield "object_index", "its objects are not made up of the fragments that full resolution makes"


def _differing_links(made: Cells, stored: Cells) -> Iterator[tuple[str, str]]:
    ours = next((_link_keys(table, made.row_offsets) for table in made.links if table.delta == 0), None)
    theirs = next((_link_keys(table, stored.row_offsets) for table in stored.links if table.delta == 0), None)
    expected, found = (0 if keys is None else len(keys) for keys in (ours, theirs))
    if expected != found:
        yield "links", f"it has {found} links, but those of full resolution make {expected}"
    elif ours is not None and theirs is not None and not np.array_equal(ours, theirs):
        wrong = int((ours != theirs).any(axis=1).sum())
        yield "links", f"{wrong} of {found} links do not follow from those of full resolution"


def _link_keys(table: LinkTable, row_offsets: IntArray) -> IntArray:
    """Return the endpoints of every link as numbers of rows, in an order that is the same for the same links."""
    numbers = np.sort(row_offsets[:-1][table.chunks] + table.rows, axis=1)
    return numbers[lexicographic_order(numbers)]
