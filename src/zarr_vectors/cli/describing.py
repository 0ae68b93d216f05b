"""Stores → documents that say what is in them → tables that people read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zarr_vectors.cli.reporting import readable_bytes, readable_number, readable_shape
from zarr_vectors.constants import (
    CROSS_CHUNK_LINKS,
    FRAGMENT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    GROUPS,
    LINK_FRAGMENTS,
    LINKS,
    OBJECT_ATTRIBUTES,
    OBJECT_INDEX,
    VERTEX_ATTRIBUTES,
    VERTEX_FRAGMENTS,
    VERTICES,
)
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.model.metadata import RootMetadata
from zarr_vectors.read.chunk_values import vertex_specs
from zarr_vectors.read.level import LevelReader
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.port import INTERNAL_PREFIX
from zarr_vectors.storage.sizes import object_sizes
from zarr_vectors.typing import Document

Sizes = Mapping[str, int | None]

SCOPES = {
    "vertex": VERTEX_ATTRIBUTES,
    "fragment": FRAGMENT_ATTRIBUTES,
    "object": OBJECT_ATTRIBUTES,
    "group": GROUP_ATTRIBUTES,
}
"""What an attribute may belong to, and the folder it is in."""


def measure(store: StoreReader) -> Sizes | None:
    """Return the sizes of a store's objects, without locks and journals; None where it cannot be listed."""
    if not store.storage.can_list:
        return None
    sizes = object_sizes(store.storage)
    return {address: size for address, size in sizes.items() if not address.startswith(INTERNAL_PREFIX)}


def usage(sizes: Sizes | None, folder: str = "") -> Document:
    """Return how many bytes and files there are below a folder; None where that is not known."""
    if sizes is None:
        return {"bytes": None, "files": None}
    start = f"{folder}/" if folder else ""
    found = [size for address, size in sizes.items() if address.startswith(start)]
    return {"bytes": None if None in found else sum(size or 0 for size in found), "files": len(found)}


def describe_store(store: StoreReader) -> Document:
    """Return what a store holds, and its levels, as a document."""
    root = store.root
    sizes = measure(store)
    levels = [store.level(number, own=True) for number in store.level_numbers()]
    base = levels[0] if levels else None
    objects = None if base is None else base.arrays.object_index
    groups = None if base is None else base.arrays.groups
    return {
        "path": store.storage.url,
        "name": root.name,
        "geometry_types": list(root.geometry_types),
        "dimensions": root.ndim,
        "axes": [axis.document() for axis in root.axes],
        "bounds": root.bounds,
        "crs": root.crs,
        "chunk_shape": root.chunk_shape,
        "bin_shape": root.base_bin,
        "bins_per_chunk": root.grid.n_bins,
        "format_version": store.revision.name,
        "zv_version": root.zv_version,
        "position_dtype": None if base is None else base.arrays.vertices.spec.dtype,
        "links_convention": root.links_convention,
        "object_index_convention": root.object_index_convention,
        "object_count": 0 if objects is None else objects.count,
        "group_count": 0 if groups is None else groups.count,
        "attributes": [] if base is None else list(_attributes(root, base)),
        "levels": [describe_level(level, sizes) for level in levels],
        **usage(sizes),
    }


def describe_level(level: LevelReader, sizes: Sizes | None) -> Document:
    """Return what a level holds."""
    metadata, entry = level.metadata, level.root.entry(level.metadata.level)
    grid = level.grid
    index = level.arrays.object_index
    return {
        "level": metadata.level,
        "vertex_count": metadata.vertex_count,
        "chunk_count": len(level.chunks),
        "object_count": 0 if index is None else int(index.document.get("num_present", index.count)),
        "bin_ratio": metadata.bin_ratio or (entry.bin_ratio if entry else None),
        "bin_shape": grid.bin_shape or grid.chunk_shape,
        "chunk_shape": grid.chunk_shape,
        "object_sparsity": metadata.object_sparsity,
        "coarsening_method": metadata.coarsening_method,
        "links": {f"{delta:+d}" if delta else "0": family.width for delta, family in level.arrays.links.items()},
        "stale": metadata.stale,
        **usage(sizes, str(metadata.level)),
    }


def _attributes(root: RootMetadata, level: LevelReader) -> Iterator[Document]:
    for scope, folder in SCOPES.items():
        specs = {name: array.spec for name, array in getattr(level.arrays, folder).items()}
        for name, spec in sorted((vertex_specs(level) if scope == "vertex" else specs).items()):
            yield _describe_attribute(scope, name, spec, root.attribute_specs.get((scope, name)))
    for delta, family in level.arrays.links.items():
        if delta == 0 and family.arrays:
            for name, cells in sorted(family.arrays[0].attributes.items()):
                yield _describe_attribute("link", name, cells.spec, root.attribute_specs.get(("link", name)))


def _describe_attribute(scope: str, name: str, spec: AttributeSpec, told: AttributeSpec | None) -> Document:
    return {
        "scope": scope,
        "name": name,
        "dtype": spec.dtype,
        "channels": list(spec.channel_names or []),
        "encoding": spec.encoding,
        "categories": None if spec.categories is None else len(spec.categories),
        "unit": spec.unit or (told.unit if told else None),
        "description": spec.description or (told.description if told else None),
    }


def list_arrays(store: StoreReader, numbers: list[int]) -> list[Document]:
    """Return the arrays of some levels, with what they hold and how large they are."""
    sizes = measure(store)
    rows = []
    for number in numbers:
        for path, described in _arrays(store.level(number, own=True)):
            where = f"{number}/{path}"
            rows.append({"path": where, "level": number, **described, **usage(sizes, where)})
    return rows


def _arrays(level: LevelReader) -> Iterator[tuple[str, Document]]:
    arrays = level.arrays
    chunks = len(level.chunks)
    vertices = level.metadata.vertex_count
    yield VERTICES, _array(vertices, arrays.vertices.spec, chunks, channels=level.root.ndim)
    if arrays.vertex_fragments is not None:
        yield VERTEX_FRAGMENTS, _array(None, None, chunks)
    for name, cells in sorted(arrays.vertex_attributes.items()):
        yield f"{VERTEX_ATTRIBUTES}/{name}", _array(vertices, cells.spec, chunks)
    for name, cells in sorted(arrays.fragment_attributes.items()):
        yield f"{FRAGMENT_ATTRIBUTES}/{name}", _array(None, cells.spec, chunks)
    for delta, family in sorted(arrays.links.items()):
        count = family.document.get("num_links")
        yield f"{LINKS}/{f'{delta:+d}' if delta else 0}", _array(count, None, None, channels=family.width)
        if family.blob is not None:
            yield f"{CROSS_CHUNK_LINKS}/{f'{delta:+d}' if delta else 0}", _array(None, None, None)
    if arrays.link_fragments is not None:
        yield LINK_FRAGMENTS, _array(None, None, chunks)
    if arrays.object_index is not None:
        yield OBJECT_INDEX, _array(arrays.object_index.count, None, None)
    for name, dense in sorted(arrays.object_attributes.items()):
        yield f"{OBJECT_ATTRIBUTES}/{name}", _array(dense.count, dense.spec, None)
    if arrays.groups is not None:
        yield GROUPS, _array(arrays.groups.count, None, None)
    for name, dense in sorted(arrays.group_attributes.items()):
        yield f"{GROUP_ATTRIBUTES}/{name}", _array(dense.count, dense.spec, None)


def _array(rows: Any, spec: AttributeSpec | None, chunks: int | None, *, channels: int | None = None) -> Document:
    return {
        "rows": rows,
        "channels": channels if spec is None or channels is not None else spec.channels,
        "dtype": None if spec is None else spec.dtype,
        "unit": None if spec is None else spec.unit,
        "chunks": chunks,
    }


def make_table(title: str | None, columns: Iterable[tuple[str, str]], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table; columns are pairs of heading and ``"left"`` or ``"right"``."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for heading, side in columns:
        table.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def make_facts(facts: Iterable[tuple[str, str]]) -> Table:
    """Return names and values in two columns."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, escape(value))
    return table


def print_store(console: Console, described: Document) -> None:
    """Print what :func:`~zarr_vectors.cli.describing.describe_store` says."""
    console.print(f"[bold]{escape(described['path'])}[/bold]", soft_wrap=True)
    console.print(make_facts(_facts(described)))
    if described["attributes"]:
        console.print()
        console.print(_attribute_table(described["attributes"]))
    console.print(make_level_table(described["levels"]))


def _facts(described: Document) -> list[tuple[str, str]]:
    axes = ", ".join(_axis(axis) for axis in described["axes"])
    low, high = described["bounds"]
    bounds = ", ".join(
        f"{axis['name']} {readable_number(a)} to {readable_number(b)}"
        for axis, a, b in zip(described["axes"], low, high, strict=True)
    )
    facts = [
        ("geometry", ", ".join(described["geometry_types"]) or "–"),
        ("dimensions", str(described["dimensions"])),
        ("axes", axes),
        ("bounds", bounds),
        ("chunk shape", readable_shape(described["chunk_shape"])),
        ("bin shape", f"{readable_shape(described['bin_shape'])} ({described['bins_per_chunk']:,} bins a chunk)"),
        ("positions", described["position_dtype"] or "–"),
        ("format", f"{described['format_version']} (stamped {described['zv_version']})"),
        ("objects", f"{described['object_count']:,}"),
        ("groups", f"{described['group_count']:,}"),
        ("size", f"{readable_bytes(described['bytes'])} in {_count(described['files'])} files"),
    ]
    if described["crs"]:
        known = [
            described["crs"].get("name"),
            f"EPSG:{described['crs']['epsg']}" if "epsg" in described["crs"] else None,
        ]
        facts.insert(4, ("reference", ", ".join(str(part) for part in known if part) or "given"))
    return facts


def _axis(axis: Document) -> str:
    details = [axis["unit"]] if axis.get("unit") else []
    details += [axis["type"]] if axis["type"] != "space" else []
    return f"{axis['name']} ({', '.join(details)})" if details else str(axis["name"])


def _attribute_table(attributes: list[Document]) -> Table:
    rows = [
        [a["name"], a["scope"], a["dtype"], _values(a), a["unit"] or "", a["description"] or ""] for a in attributes
    ]
    headings = [(name, "left") for name in ("attribute", "of", "type", "values", "unit", "description")]
    return make_table(None, headings, rows)


def _values(attribute: Document) -> str:
    if attribute["channels"]:
        return ", ".join(attribute["channels"])
    if attribute["categories"] is not None:
        return f"{attribute['categories']} categories"
    return attribute["encoding"] or ""


def make_level_table(levels: list[Document]) -> Table:
    """Return a table of levels, with the columns for which there is something to say."""
    columns: list[tuple[str, Callable[[Document], str]]] = [
        ("level", lambda level: f"{level['level']}{' (stale)' if level.get('stale') else ''}"),
        ("vertices", lambda level: _count(level["vertex_count"])),
        ("chunks", lambda level: _count(level["chunk_count"])),
        ("bin ratio", lambda level: readable_shape(level["bin_ratio"])),
        ("bin shape", lambda level: readable_shape(level["bin_shape"])),
        ("chunk shape", lambda level: readable_shape(level["chunk_shape"])),
    ]
    if any(level["object_count"] for level in levels):
        columns.insert(3, ("objects", lambda level: _count(level["object_count"])))
    if any("files" in level for level in levels):
        columns.append(("size", lambda level: readable_bytes(level["bytes"])))
        columns.append(("files", lambda level: _count(level["files"])))
    rows = [[show(level) for _, show in columns] for level in levels]
    return make_table(None, [(heading, "right") for heading, _ in columns], rows)


def print_arrays(console: Console, arrays: list[Document]) -> None:
    """Print what :func:`~zarr_vectors.cli.describing.list_arrays` says."""
    rows = [
        [
            array["path"],
            array["dtype"] or "",
            _count(array["rows"]),
            "" if array["channels"] is None else str(array["channels"]),
            array["unit"] or "",
            _count(array["chunks"]),
            readable_bytes(array["bytes"]),
            _count(array["files"]),
        ]
        for array in arrays
    ]
    names = ("array", "type", "rows", "channels", "unit", "chunks", "size", "files")
    console.print(make_table(None, [(n, "left" if n in ("array", "type", "unit") else "right") for n in names], rows))


def _count(count: Any) -> str:
    return "" if count is None else f"{count:,}"
