"""What belongs together in a store: which changes of two branches do not go together, though they lie apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from zarr_vectors.constants import (
    CROSS_CHUNK_LINK_ATTRIBUTES,
    CROSS_CHUNK_LINKS,
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    GROUPS,
    LINK_ATTRIBUTES,
    LINK_FRAGMENTS,
    LINKS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.formats.documents import LEVEL_KEY
from zarr_vectors.formats.merging import merge_documents
from zarr_vectors.storage.consolidated import CONSOLIDATED
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, parse_document
from zarr_vectors.storage.icechunk.keys import Change, SessionKeys, chunk_of, is_document, node_of
from zarr_vectors.storage.port import Storage, join
from zarr_vectors.typing import Document

_DEPTHS = {
    VERTICES: 0,
    VERTEX_FRAGMENTS: 0,
    LINK_FRAGMENTS: 0,
    VERTEX_ATTRIBUTES: 1,
    FRAGMENT_ATTRIBUTES: 1,
    LINKS: 1,
    LINK_ATTRIBUTES: 2,
    CROSS_CHUNK_LINKS: 1,
    CROSS_CHUNK_LINK_ATTRIBUTES: 2,
    OBJECT_INDEX: 0,
    OBJECT_ATTRIBUTES: 1,
    GROUPS: 0,
    GROUP_ATTRIBUTES: 1,
}
"""Names below the folder of a family that say which of its arrays it is; what follows is a chunk, or an offset."""

_ROWS = {
    VERTEX_ATTRIBUTES: (VERTICES,),
    FRAGMENT_ATTRIBUTES: (VERTEX_FRAGMENTS,),
    LINK_ATTRIBUTES: (LINKS, CROSS_CHUNK_LINKS),
    CROSS_CHUNK_LINK_ATTRIBUTES: (LINKS, CROSS_CHUNK_LINKS),
    OBJECT_ATTRIBUTES: (OBJECT_INDEX,),
    GROUP_ATTRIBUTES: (GROUPS,),
}
"""Where the things are that every array of a family has one row for."""

_TABLES = frozenset({OBJECT_INDEX, OBJECT_ATTRIBUTES, GROUPS, GROUP_ATTRIBUTES})
"""What names objects, by rows that all of these share."""

_BLOBS = frozenset({CROSS_CHUNK_LINKS, CROSS_CHUNK_LINK_ATTRIBUTES})
"""What is one object for all chunks of a level."""

_CHUNK_NAME = re.compile(r"-?[0-9]+(?:\.-?[0-9]+)*")

Place = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Cell:
    """A chunk of an array of a level.

    Attributes
    ----------
    key : str
        Its address; in revision 0.7 also that of the document that a chunk has there.
    level : int
        Number of the level.
    family : str
        Folder within the level.
    names : tuple of str
        What says which array of the family it is: the name of an attribute, a level difference, offsets.
    place : tuple of int
        The chunk: where it is in the grid, or its coordinates in revision 0.7; empty for tables.
    """

    key: str
    level: int
    family: str
    names: tuple[str, ...]
    place: Place

    @property
    def delta(self) -> int:
        """Level difference, of a chunk of links."""
        names = self.names[1:] if self.family in (LINK_ATTRIBUTES, CROSS_CHUNK_LINK_ATTRIBUTES) else self.names
        return int(names[0]) if names and _CHUNK_NAME.fullmatch(names[0].lstrip("+")) else 0


@dataclass(frozen=True)
class _Side:
    """One side's changes, sorted by what they concern."""

    change: Change
    cells: list[_Cell] = field(default_factory=list)
    documents: dict[int, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, change: Change) -> _Side:
        side = cls(change)
        grouped: dict[str, bool] = {}
        for key in sorted(change.keys):
            first, _, rest = key.partition("/")
            if not first.isdecimal() or not rest:
                continue
            if first not in grouped:
                grouped[first] = _has_groups(change, first)
            cell = _cell(key, grouped[first])
            if cell is not None:
                side.cells.append(cell)
            elif is_document(key):
                side.documents.setdefault(int(first), []).append(key)
        return side

    @cached_property
    def families(self) -> dict[tuple[int, str], list[_Cell]]:
        """Chunks by level and family."""
        found: dict[tuple[int, str], list[_Cell]] = {}
        for cell in self.cells:
            found.setdefault((cell.level, cell.family), []).append(cell)
        return found

    @cached_property
    def places(self) -> dict[tuple[int, Place], list[str]]:
        """Addresses by level and chunk; tables count as one chunk."""
        found: dict[tuple[int, Place], list[str]] = {}
        for cell in self.cells:
            if cell.family not in _BLOBS:
                found.setdefault((cell.level, () if cell.family in _TABLES else cell.place), []).append(cell.key)
        return found

    def differing(self, keys: Iterable[str]) -> Iterator[str]:
        """Give addresses whose content this side did change."""
        return self.change.differing(keys)

    def changed(self, level: int, *families: str) -> Iterator[_Cell]:
        """Give chunks of families of a level whose content this side did change."""
        cells = {cell.key: cell for family in families for cell in self.families.get((level, family), [])}
        return (cells[key] for key in self.differing(cells))

    def moved_rows(self, level: int, family: str = VERTICES) -> set[Place]:
        """Give chunks of a level with vertices (or fragments) that this side changed, new chunks aside."""
        keys = {cell.key: cell.place for cell in self.families.get((level, family), []) if not is_document(cell.key)}
        different = list(self.differing(keys))
        made, _ = self.change.made_or_removed(different)
        return {keys[key] for key in different if key not in made}

    @cached_property
    def levels(self) -> set[int]:
        """Levels that this side changed anything of."""
        keys: dict[int, list[str]] = {level: list(addresses) for level, addresses in self.documents.items()}
        for cell in self.cells:
            keys.setdefault(cell.level, []).append(cell.key)
        return {level for level, addresses in keys.items() if next(self.differing(addresses), None) is not None}

    @cached_property
    def filled(self) -> set[int]:
        """Levels whose content this side changed, links to other levels aside."""
        keys: dict[int, list[str]] = {}
        for cell in self.cells:
            if cell.delta == 0:
                keys.setdefault(cell.level, []).append(cell.key)
        return {level for level, addresses in keys.items() if next(self.differing(addresses), None) is not None}

    @cached_property
    def attributes(self) -> dict[tuple[int, str], list[str]]:
        """Documents of attributes that this side added or removed, by level and family."""
        found: dict[tuple[int, str], list[str]] = {}
        for level, addresses in self.documents.items():
            for address in addresses:
                _, *parts = node_of(address).split("/")
                if parts and parts[0] in _ROWS and 1 < len(parts) <= 1 + _DEPTHS[parts[0]]:
                    found.setdefault((level, parts[0]), []).append(address)
        return {key: sorted(set().union(*self.change.made_or_removed(addresses))) for key, addresses in found.items()}

    @cached_property
    def removed_levels(self) -> set[int]:
        """Levels that this side removed."""
        documents = [join(str(level), DOCUMENT_NAME) for level in self.documents]
        return {int(node_of(address)) for address in self.change.made_or_removed(documents)[1]}


def _has_groups(change: Change, level: str) -> bool:
    """Say whether per-chunk arrays are groups of one array for every chunk, as in revision 0.7."""
    address = join(join(level, VERTICES), DOCUMENT_NAME)
    blobs = [keys.read_whole([address])[0] for keys in (change.after, change.before)]
    blob = next((one for one in blobs if one is not None), None)
    return blob is not None and parse_document(bytes(blob), address).get("node_type") == "group"


def _cell(key: str, grouped: bool) -> _Cell | None:
    level, *parts = node_of(key).split("/")
    if not parts or parts[0] not in _DEPTHS:
        return None
    family, *names = parts
    place = chunk_of(key)
    if grouped and family not in _TABLES | _BLOBS:
        if len(names) != _DEPTHS[family] + 1 or not _CHUNK_NAME.fullmatch(names[-1]):
            return None
        place = tuple(map(int, names.pop().split(".")))
    return None if place is None else _Cell(key, int(level), family, tuple(names), place)


def _ends(cell: _Cell) -> set[Place] | None:
    """Give the chunks that rows of a chunk of links refer to; None where any may be."""
    if cell.family in _BLOBS or cell.delta != 0:
        return None
    if len(cell.names) < 2:  # revision 0.7: the links within a chunk
        return {cell.place}
    if cell.names[1] == "self":
        return {cell.place}
    ends = {cell.place}
    for offset in cell.names[1].split("_"):
        steps = [int(step) for step in offset.split(".")]
        if len(steps) != len(cell.place):
            return None
        ends.add(tuple(one + step for one, step in zip(cell.place, steps, strict=True)))
    return ends


def _same_places(mine: _Side, theirs: _Side) -> Iterator[str]:
    """Give what one side changed in chunks that the other side changed, too, in any array of the same level."""
    for place in mine.places.keys() & theirs.places.keys():
        if next(theirs.differing(theirs.places[place]), None) is not None:
            yield from mine.differing(mine.places[place])


def _same_tops(mine: Change, theirs: Change) -> Iterator[str]:
    """Give what both sides changed in a folder beside the levels that holds chunks, such as parametric objects."""
    tops = {key.partition("/")[0] for key in mine.keys if chunk_of(key) is not None}
    for top in sorted(one for one in tops if not one.isdecimal()):
        if next(theirs.differing(sorted(k for k in theirs.keys if k.startswith(f"{top}/") and chunk_of(k))), None):
            yield from mine.differing(sorted(k for k in mine.keys if k.startswith(f"{top}/") and chunk_of(k)))


def _holes(mine: _Side, theirs: _Side) -> Iterator[str]:
    """Give attributes that one side added or removed where the other changed what they have rows for."""
    for (level, family), documents in mine.attributes.items():
        if documents and next(theirs.changed(level, *_ROWS[family]), None) is not None:
            yield from documents


def _dangling(mine: _Side, theirs: _Side) -> Iterator[str]:
    """Give links, and references to fragments, that one side changed where the other moved what they refer to."""
    for level, family in mine.families:
        if family in (LINKS, CROSS_CHUNK_LINKS):
            for cell in mine.changed(level, family):
                ends = _ends(cell)
                moved = {level: theirs.moved_rows(level), level + cell.delta: theirs.moved_rows(level + cell.delta)}
                if any(moved.values()) if ends is None else ends & moved[level]:
                    yield cell.key
        elif family == OBJECT_INDEX and theirs.moved_rows(level, VERTEX_FRAGMENTS):
            yield from (cell.key for cell in mine.changed(level, family))


def _orphans(mine: _Side, theirs: _Side) -> Iterator[str]:
    """Give levels whose content one side made out of a level that the other removed."""
    if theirs.removed_levels:
        for level in mine.filled - mine.removed_levels:
            if theirs.removed_levels & set(_ancestors(level, _parents(mine.change.after))):
                yield join(str(level), DOCUMENT_NAME)


def _parents(keys: SessionKeys) -> Callable[[int], int | None]:
    """Give what tells the level that a level was made of, the next finer one where that is not said."""

    def parent(level: int) -> int | None:
        address = join(str(level), DOCUMENT_NAME)
        blob = keys.read_whole([address])[0]
        stated = None if blob is None else _block(parse_document(bytes(blob), address)).get("parent_level")
        return stated if isinstance(stated, int) else level - 1 if level > 0 else None

    return parent


def _ancestors(level: int, parent: Callable[[int], int | None]) -> Iterator[int]:
    seen = {level}
    above = parent(level)
    while above is not None and above not in seen:
        yield above
        seen.add(above)
        above = parent(above)


def _block(document: Document) -> Document:
    block = (document.get("attributes") or {}).get(LEVEL_KEY)
    return block if isinstance(block, dict) else {}


@dataclass(frozen=True, slots=True)
class StoreRules:
    """What belongs together in a store of either revision.

    Attributes
    ----------
    problems : callable
        Says what is wrong with a store, as far as that is known without reading all of it.
    """

    problems: Callable[[Storage], list[str]]

    def merged(self, address: str, before: bytes | None, ours: bytes, theirs: bytes) -> bytes | None:
        """Merge a metadata document that two sides changed or made; None where the changes exclude each other."""
        return merge_documents(address, before, ours, theirs)

    def conflicts(self, mine: Change, theirs: Change) -> set[str]:
        """Give addresses of what either side changed that does not go with what the other changed elsewhere."""
        if not mine.keys or not theirs.keys:
            return set()
        one, two = _Side.of(mine), _Side.of(theirs)
        found = {*_same_places(one, two), *_same_tops(mine, theirs)}
        for side, other in ((one, two), (two, one)):
            found.update(_holes(side, other), _dangling(side, other), _orphans(side, other))
        return found

    def finish(self, mine: Change, theirs: Change, target: SessionKeys) -> None:
        """Mark levels as stale that one side made of what the other changed, and drop copies of documents."""
        if not mine.keys or not theirs.keys:
            return
        one, two = _Side.of(mine), _Side.of(theirs)
        stale = set()
        for side, other in ((one, two), (two, one)):
            for level in side.levels:
                if other.filled & set(_ancestors(level, _parents(target))):
                    stale.add(join(str(level), DOCUMENT_NAME))
        for address in sorted(stale):
            _change_document(target, address, lambda document: _block(document).update(stale=True))
        _change_document(target, DOCUMENT_NAME, lambda document: document.pop(CONSOLIDATED, None))


def _change_document(target: SessionKeys, address: str, change: Callable[[Document], object]) -> None:
    """Change a document in place; one that is not there, or stays what it is, is not written."""
    blob = target.read_whole([address])[0]
    if blob is None:
        return
    document, before = (parse_document(bytes(blob), address) for _ in range(2))
    change(document)
    if document != before:
        target.put_many([(address, document_bytes(document))])
