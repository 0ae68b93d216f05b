"""Coordinate reference systems of LAS files: names, EPSG codes and the units of the axes.

LAS 1.4 R15 (ASPRS) keeps them in variable length records of user ``LASF_Projection``: well-known text in
record 2112, or GeoTIFF keys in records 34735 (directory), 34736 (doubles) and 34737 (texts). The keys are those
of the OGC GeoTIFF standard (19-008r4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.convert.las.records import LONGEST, Record
from zarr_vectors.convert.las.wkt import WktNode, parse_wkt
from zarr_vectors.typing import Document

PROJECTION_USER = "LASF_Projection"
WKT_RECORD = 2112
GEO_KEYS_RECORD = 34735
GEO_TEXTS_RECORD = 34737
_WKT_BIT = 16
"""Bit of the global encoding that says that the reference system is well-known text."""

MODEL_TYPE_KEY, CITATION_KEY = 1024, 1026
GEODETIC_CRS_KEY, GEODETIC_CITATION_KEY, ANGULAR_UNITS_KEY = 2048, 2049, 2054
PROJECTED_CRS_KEY, PROJECTED_CITATION_KEY, LINEAR_UNITS_KEY = 3072, 3073, 3076
VERTICAL_UNITS_KEY = 4099
GEOGRAPHIC_MODEL = 2
LAST_EPSG_CODE = 32766
"""Larger values of a key are not codes of the EPSG register (32767 means user-defined)."""

UNITS_BY_EPSG = {9001: "meter", 9002: "foot", 9003: "US_survey_foot", 9101: "radian", 9102: "degree"}
UNITS_BY_METRES = {"meter": 1.0, "foot": 0.3048, "US_survey_foot": 1200 / 3937, "kilometer": 1000.0}

HORIZONTAL = (
    "PROJCS",
    "PROJCRS",
    "PROJECTEDCRS",
    "GEOGCS",
    "GEOGCRS",
    "GEODCRS",
    "GEODETICCRS",
    "GEOGRAPHICCRS",
)
VERTICAL = ("VERT_CS", "VERTCRS", "VERTICALCRS", "VERTCS")
COMPOUND = ("COMPD_CS", "COMPOUNDCRS")
WRAPPERS = ("BOUNDCRS", "SOURCECRS")
ANGLES = ("GEOGCS", "GEOGCRS", "GEODCRS", "GEODETICCRS", "GEOGRAPHICCRS")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a file says about its coordinates.

    Parameters
    ----------
    crs : dict, optional
        ``name``, ``epsg`` and ``wkt`` as far as known; None where the file is silent.
    units : tuple of str or None
        UDUNITS-2 names for x, y and z; None where not stated. The unit of z is that of a vertical reference
        system or key; no horizontal unit is taken over.
    """

    crs: Document | None
    units: tuple[str | None, str | None, str | None]


def read_reference(records: Iterable[Record]) -> Reference:
    """Read the reference system from the variable length records of a file.

    Parameters
    ----------
    records : iterable of Record
        Before and behind the points.
    """
    data = {record.record_id: record.data for record in records if record.user_id.rstrip() == PROJECTION_USER}
    if WKT_RECORD in data:
        text = data[WKT_RECORD].decode("utf-8", "replace").rstrip("\x00 ")
        node = parse_wkt(text)
        if node is not None:
            return _of_wkt(node, text)
    if GEO_KEYS_RECORD in data:
        return _of_keys(data[GEO_KEYS_RECORD], data.get(GEO_TEXTS_RECORD, b""))
    return Reference(None, (None, None, None))


def _of_wkt(outermost: WktNode, text: str) -> Reference:
    node = outermost
    while node.keyword in WRAPPERS:
        node = next((a for a in node.arguments if isinstance(a, WktNode)), WktNode(""))
    parts = [a for a in node.arguments if isinstance(a, WktNode)] if node.keyword in COMPOUND else [node]
    horizontal = next((part for part in parts if part.keyword in HORIZONTAL), None)
    vertical = next((part for part in parts if part.keyword in VERTICAL), None)
    crs: Document = {"wkt": text}
    if node.name:
        crs["name"] = node.name
    code = _epsg(node)
    if code is not None:
        crs["epsg"] = code
    plane = None if horizontal is None else _wkt_unit(horizontal)
    return Reference(crs, (plane, plane, None if vertical is None else _wkt_unit(vertical)))


def _epsg(node: WktNode) -> int | None:
    for identifier in node.children("AUTHORITY", "ID"):
        if identifier.name == "EPSG" and len(identifier.arguments) > 1:
            code = str(identifier.arguments[1])
            return int(code) if code.isdecimal() else None
    return None


def _wkt_unit(node: WktNode) -> str | None:
    """Return the unit of a reference system: its own, or that of its first axis."""
    keywords = ("UNIT", "LENGTHUNIT", "ANGLEUNIT")
    unit = node.child(*keywords)
    if unit is None:
        unit = next((axis.child(*keywords) for axis in node.children("AXIS")), None)
    if unit is None or len(unit.arguments) < 2:
        return None
    if node.keyword in ANGLES:
        return "degree" if (unit.name or "").lower().startswith("deg") else None
    try:
        metres = float(str(unit.arguments[1]))
    except ValueError:
        return None
    return next((name for name, size in UNITS_BY_METRES.items() if abs(size - metres) < 1e-9 * size), None)


def _of_keys(directory: bytes, texts: bytes) -> Reference:
    """Read GeoTIFF keys: rows of (key, location, count, value or offset) after a header row."""
    words = np.frombuffer(directory[: len(directory) // 8 * 8], "<u2").reshape(-1, 4)[1:]
    values = {int(key): int(value) for key, location, _, value in words.tolist() if location == 0}
    strings = {
        int(key): texts[start : start + count].decode("latin-1").rstrip("|\x00 ")
        for key, location, count, start in words.tolist()
        if location == GEO_TEXTS_RECORD
    }
    geographic = values.get(MODEL_TYPE_KEY) == GEOGRAPHIC_MODEL
    code = values.get(GEODETIC_CRS_KEY if geographic else PROJECTED_CRS_KEY, 0)
    names = (PROJECTED_CITATION_KEY, CITATION_KEY, GEODETIC_CITATION_KEY)
    name = next((strings[key] for key in names if strings.get(key)), None)
    crs: Document = {}
    if name:
        crs["name"] = name.partition("|")[0]
    if 0 < code <= LAST_EPSG_CODE:
        crs["epsg"] = code
    unit = values.get(ANGULAR_UNITS_KEY if geographic else LINEAR_UNITS_KEY, 0)
    plane = UNITS_BY_EPSG.get(unit)
    return Reference(crs or None, (plane, plane, UNITS_BY_EPSG.get(values.get(VERTICAL_UNITS_KEY, 0))))


def state_crs(
    document: Document, crs: Mapping[str, Any] | None, units: Sequence[str | None]
) -> tuple[Document, list[str]]:
    """Return the document of a header that states the reference system of a store, and what it cannot state.

    Parameters
    ----------
    document : dict
        Of the header; its own records stay where they say the same.
    crs : mapping, optional
        Of the store; none where it does not know one.
    units : sequence of str or None
        Of x, y and z.
    """
    keys = ("records", "extended_records")
    stated = read_reference(Record.of(record) for key in keys for record in document.get(key, []))
    if not crs:
        lost = stated.crs is None and any(units)
        named = ", ".join(f"{axis} {unit}" for axis, unit in zip("xyz", units, strict=True) if unit)
        return document, [f"the units of its axes ({named})"] if lost else []
    if stated.crs == dict(crs):
        return document, []
    changed = {
        key: [record for record in document.get(key, []) if record["user_id"].rstrip() != PROJECTION_USER]
        for key in keys
    }
    text = crs.get("wkt")
    if not isinstance(text, str):
        return {**document, **changed}, [
            f"its coordinate reference system {dict(crs)}, which has no well-known text (crs['wkt'])"
        ]
    record = Record(PROJECTION_USER, WKT_RECORD, "", text.encode() + b"\0")
    changed["records" if len(record.data) <= LONGEST else "extended_records"].append(record.document())
    return {**document, **changed, "global_encoding": document.get("global_encoding", 0) | _WKT_BIT}, []
