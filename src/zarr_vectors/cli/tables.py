"""Documents → tables that people read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zarr_vectors.cli.reporting import readable_bytes, readable_number, readable_shape
from zarr_vectors.typing import Document


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
