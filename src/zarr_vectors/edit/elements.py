"""Level 0 as elements that can be changed, and back into its chunks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.constants import (
    ARRAY_FAMILIES,
    CAP_MULTISCALE_LINKS,
    CROSS_CHUNK_LINKED,
    LINKS_BRANCHES,
    LINKS_EXPLICIT,
    MESH_KEY,
    OBJECT_ID_ATTRIBUTE,
    OBJECTS_IDENTITY,
    OBJECTS_STANDARD,
    PATH_TYPES,
)
from zarr_vectors.edit.binning import LEADING, leading_column
from zarr_vectors.edit.change import Change
from zarr_vectors.exceptions import ArgumentError, UnsupportedFeatureError
from zarr_vectors.model.cells import Cells
from zarr_vectors.model.elements import Elements, Links, Objects
from zarr_vectors.model.metadata import LevelMetadata, RootMetadata
from zarr_vectors.multiresolution.removal import remove_link_families
from zarr_vectors.ordering import stable_order
from zarr_vectors.read.elements import read_linked_elements
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.objects import read_groups
from zarr_vectors.read.paths import read_paths
from zarr_vectors.read.query import Query
from zarr_vectors.read.row_offsets import read_row_offsets
from zarr_vectors.read.store import StoreReader
from zarr_vectors.read.vertices import holds_faces
from zarr_vectors.rechunking.described import with_rest
from zarr_vectors.spatial.branches import along_branches
from zarr_vectors.spatial.partition import FragmentRule, Leading, partition
from zarr_vectors.spatial.sharing import share_fragments
from zarr_vectors.typing import BoolArray
from zarr_vectors.write.level import write_level

_QUAD_SHAPES = frozenset(["quad", "tetrahedron"])


def is_ordered(store: StoreReader) -> bool:
    """Return whether objects are ordered paths."""
    return bool(PATH_TYPES & set(store.root.geometry_types))


def has_links(store: StoreReader) -> bool:
    """Return whether vertices are joined by links that are not just their order."""
    return store.root.links_convention in (LINKS_EXPLICIT, LINKS_BRANCHES)


def read_level_elements(store: StoreReader) -> Elements:
    """Read level 0 in the order of its reader: stored order, or path after path.

    Links come in the order in which the reader of the kind gives edges or faces.

    Raises
    ------
    UnsupportedFeatureError
        When vertices are encoded with Draco, which would round them once more.
    ArgumentError
        When fragments carry attributes of their own, which a change of the fragments would lose.
    """
    level = store.level(0)
    if holds_faces(level):
        raise UnsupportedFeatureError(
            f"{level.name}: vertices are encoded with Draco, and writing them again would round every one of them; "
            "read the mesh and write it anew"
        )
    named = sorted(set(level.arrays.fragment_attributes) - {OBJECT_ID_ATTRIBUTE})
    if named:
        raise ArgumentError(
            f"{level.name}: fragments have attributes {named}, and this edit changes which fragments there are; take "
            "them away first with remove_attribute(kind='fragment')"
        )
    elements = _read_paths(level) if is_ordered(store) else _read_stored(level)
    if elements.links is None and has_links(store):
        directed = store.root.links_convention == LINKS_BRANCHES
        elements = replace(elements, links=Links(np.zeros((0, link_width(store)), np.int64), directed=directed))
    return elements


def _read_paths(level: LevelReader) -> Elements:
    paths = read_paths(level, Query(attributes=list(level.arrays.vertex_attributes)), keep_empty=True)
    order = np.argsort(paths.object_ids, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    of_vertex = np.repeat(place, np.diff(paths.offsets))
    attributes = {name: column.take(order) for name, column in paths.object_attributes.items()}
    columns = dict(paths.attributes)
    if level.leads:
        columns[LEADING] = leading_column(level.chunks[paths.places()[0], 0])
    elements = Elements(
        paths.positions, columns, Objects(paths.object_ids[order], of_vertex, attributes), read_groups(level)
    )
    return elements if bool((order[1:] > order[:-1]).all()) else in_object_order(elements)


def _read_stored(level: LevelReader) -> Elements:
    elements = read_linked_elements(level)
    if not level.leads:
        return elements
    codes = leading_column(np.repeat(level.chunks[:, 0], np.diff(read_row_offsets(level))))
    return replace(elements, attributes={**elements.attributes, LEADING: codes})


def link_width(store: StoreReader) -> int:
    """Return the number of endpoints of the links of a store, stored or to be stored."""
    family = store.level(0).arrays.links.get(0)
    if family is not None:
        return family.width
    block = store.root.extra.get(MESH_KEY)
    if not isinstance(block, dict):
        return 2
    return 4 if block.get("face_shape") in _QUAD_SHAPES else 3


def in_object_order(elements: Elements) -> Elements:
    """Return paths one after another in ascending id order, the vertices of each in their order."""
    assert elements.objects is not None
    order = stable_order([elements.objects.of_vertex.astype(np.uint64)])
    return replace(
        elements,
        positions=elements.positions[order],
        attributes={name: column.take(order) for name, column in elements.attributes.items()},
        objects=replace(elements.objects, of_vertex=elements.objects.of_vertex[order]),
    )


def keep_vertices(elements: Elements, keep: BoolArray) -> Elements:
    """Return elements with some of their vertices and the links between them; objects stay, if need be empty."""
    objects, links = elements.objects, elements.links
    if objects is not None:
        objects = replace(objects, of_vertex=objects.of_vertex[keep])
    if links is not None:
        links = keep_links(links, np.asarray(keep[links.rows].all(axis=1)))
        links = replace(links, rows=(np.cumsum(keep) - 1)[links.rows])
    columns = {name: column.take(keep) for name, column in elements.attributes.items()}
    return replace(elements, positions=elements.positions[keep], attributes=columns, objects=objects, links=links)


def keep_links(links: Links, keep: BoolArray) -> Links:
    """Return some of the links."""
    columns = {name: column.take(keep) for name, column in links.attributes.items()}
    return replace(links, rows=links.rows[keep], attributes=columns)


def as_cells(store: StoreReader, elements: Elements) -> Cells:
    """File elements under the chunks of level 0 as the writer of their kind does."""
    level = store.level(0)
    columns = dict(elements.attributes)
    codes = columns.pop(LEADING, None)
    leading = None
    if codes is not None:
        named = level.metadata.chunk_attribute_values
        count = int(codes.values.max(initial=0)) + 1
        leading = Leading(codes.values, max(count, len(named or ())))
    if store.root.links_convention == LINKS_BRANCHES:
        codes_kept = {} if codes is None else {LEADING: codes}
        elements = along_branches(replace(elements, attributes={**columns, **codes_kept}))
        columns = dict(elements.attributes)
        if leading is not None:
            leading = replace(leading, codes=columns.pop(LEADING).values)
    elements = replace(elements, attributes=columns)
    ordered = is_ordered(store)
    rule = FragmentRule.RUNS if ordered else FragmentRule.BINS if elements.objects is None else FragmentRule.OBJECTS
    crossings = store.root.cross_chunk_strategy or CROSS_CHUNK_LINKED
    cells = partition(elements, level.grid, rule, crossings=crossings, leading=leading)
    return share_fragments(cells) if ordered and level.metadata.shared_fragments else cells


def described_chunks(level: LevelReader, cells: Cells) -> LevelMetadata:
    """Return the metadata of a level that gets some chunks, with the bin of what has no value where one of them is."""
    if not level.leads or not len(cells.chunks):
        return level.metadata
    return with_rest(level.metadata, int(cells.chunks[:, 0].max()))


def rewrite(change: Change, elements: Elements, root: RootMetadata | None = None) -> None:
    """Put changed elements in the place of level 0; of its arrays only what differs is written.

    Links between level 0 and coarse levels go, as they name rows that may be others now, and coarse levels become
    stale.

    Parameters
    ----------
    change : Change
        The store.
    elements : Elements
        What level 0 is to hold.
    root : RootMetadata, optional
        Metadata that the store is to have, where they change.
    """
    store, level = change.store, change.level(0)
    cells = as_cells(store, elements)
    changed = root or change.root
    if changed.object_index_convention == OBJECTS_IDENTITY:
        changed = replace(changed, object_index_convention=OBJECTS_STANDARD)
    layout = change.layout(level)
    metadata = replace(
        described_chunks(level, cells),
        fragments_tile=cells.fragments.explicit is None,
        shared_fragments=level.metadata.shared_fragments and OBJECT_ID_ATTRIBUTE not in cells.fragment_attributes,
    )
    folders = [f"0/{family}" for family in sorted(ARRAY_FAMILIES)]
    with change.replacing(*folders):
        write_level(change.staged, store.revision, changed, metadata, cells, layout, previous=level.attributes)
    change.reopen()
    drop_cross_levels(change, changed)
    change.mark_stale()


def drop_cross_levels(change: Change, root: RootMetadata, changed: int = 0) -> None:
    """Take away the links between a level and others, which name rows; write the root where that changes it.

    Parameters
    ----------
    change : Change
        The store.
    root : RootMetadata
        Metadata that it is to have, but for the token that says that there are links across levels.
    changed : int
        The level whose rows are others now.
    """
    across = False
    for number in change.store.level_numbers():
        level = change.level(number)
        deltas = [delta for delta in level.arrays.links if delta and changed in (number, number + delta)]
        if deltas:
            level = remove_link_families(change.staged, change.store, level, deltas)
        across |= any(level.arrays.links)  # 0 is the difference of links of one level
    change.reopen()
    if not across:
        kept = tuple(token for token in root.format_capabilities if token != CAP_MULTISCALE_LINKS)
        root = replace(root, format_capabilities=kept)
    if root != change.root:
        change.put_root(root)
