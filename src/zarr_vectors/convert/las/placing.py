"""Where the attributes of a store go in a LAS file: the dimensions of a point format, else extra dimensions.

Types of extra dimensions are those of table 24 of LAS 1.4 R15.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.convert.las.dimensions import COORDINATES, Dimension, list_dimensions
from zarr_vectors.convert.las.header import make_header
from zarr_vectors.exceptions import UnsupportedFeatureError
from zarr_vectors.typing import AnyArray, Document

WIDER_FORMATS = {0: 6, 1: 6, 2: 7, 3: 7, 4: 9, 5: 10}
"""Point formats with the same dimensions as the older ones and more bits for classes and returns."""
WIDER_VERSION = "1.4"
CLASS_ATTRIBUTE = "classification"
ROUNDED_ANGLE, ANGLE = "scan_angle_rank", "scan_angle"
_STEPS_A_DEGREE = 1 / 0.006
_WIDER_TYPES = ("i2", "i4", "i8")
_MOST_ELEMENTS = 3
_MOST_NAME_BYTES = 32


@dataclass(frozen=True, slots=True)
class Placed:
    """Attributes in their places.

    Parameters
    ----------
    document : dict
        Of the header, with the extra dimensions.
    pairs : list of (Dimension, array)
        What is written where.
    renamed : dict of str to str
        Attributes whose values the dimension of their name cannot keep, and the extra dimension that has them.
    """

    document: Document
    pairs: list[tuple[Dimension, AnyArray]]
    renamed: dict[str, str]


def place_columns(document: Document, columns: Mapping[str, AnyArray], files: Iterable[Document]) -> Placed:
    """Find a place for every attribute.

    Parameters
    ----------
    document : dict
        Of the header; its point format gives way to a newer one where only that has bits enough.
    columns : mapping of str to array
        Attributes by name.
    files : iterable of dict
        Documents of the files that the points came from: their extra dimensions are made anew, with another stored
        type where theirs cannot keep the values.

    Raises
    ------
    UnsupportedFeatureError
        For an attribute that LAS cannot hold; names it.
    """
    columns = {name: v[:, 0] if v.ndim == 2 and v.shape[1] == 1 else v for name, v in columns.items()}
    document = _with_bits_enough(document, columns)
    standard = _standard_dimensions(document)
    known = {extra["attribute"]: extra for file in reversed([*files]) for extra in file.get("extra_dimensions", [])}
    held = {name for name in columns if name not in known and name in standard and standard[name].holds(columns[name])}
    reserved = _reserved(document) | standard.keys()
    renamed: dict[str, str] = {}
    extras: list[Document] = []
    for attribute in [*(name for name in known if name in columns), *(name for name in columns if name not in known)]:
        if attribute in held:
            continue
        extra = _extra_dimension(attribute, columns[attribute], known.get(attribute))
        while extra["name"] in reserved:
            extra["name"] += "_stored"
        if extra["name"] != attribute and attribute in reserved and attribute.upper() not in COORDINATES:
            renamed[attribute] = extra["name"]
        if attribute == CLASS_ATTRIBUTE:
            raise UnsupportedFeatureError(
                f"attribute {attribute!r} of {columns[attribute].dtype}: the classes of LAS are whole numbers from 0 "
                "to 255, and every point has one; store others under another name"
            )
        if len(extra["name"].encode()) > _MOST_NAME_BYTES:
            raise UnsupportedFeatureError(f"attribute {attribute!r}: names of LAS dimensions have at most 32 bytes")
        reserved.add(extra["name"])
        extras.append(extra)
    pairs = [(standard[name], columns[name]) for name in columns if name in held]
    pairs += [(Dimension.of(extra), columns[extra["attribute"]]) for extra in extras]
    angle = columns.get(ROUNDED_ANGLE)
    if angle is not None and ANGLE in standard and ANGLE not in columns and angle.dtype == np.int8:
        pairs.append((standard[ANGLE], np.rint(angle * _STEPS_A_DEGREE)))
    return Placed({**document, "extra_dimensions": extras}, pairs, renamed)


def _with_bits_enough(document: Document, columns: Mapping[str, AnyArray]) -> Document:
    wider = WIDER_FORMATS.get(document["point_format"])
    if wider is None:
        return document
    newer = {**document, "version": max(document["version"], WIDER_VERSION), "point_format": wider}
    own, better = _standard_dimensions(document), _standard_dimensions(newer)
    for name, values in columns.items():
        if name in own and name in better and not own[name].holds(values) and better[name].holds(values):
            return newer
    return document


def _standard_dimensions(document: Document) -> dict[str, Dimension]:
    header = make_header({**document, "extra_dimensions": [], "records": []})
    return {dimension.attribute: dimension for dimension in list_dimensions(header)}


def _reserved(document: Document) -> set[str]:
    """Return names that an extra dimension would share with what every point of the format has."""
    layout = make_header({**document, "extra_dimensions": [], "records": []}).point_format
    return {*layout.dtype().names, *layout.dimension_names, "x", "y", "z"}


def _extra_dimension(attribute: str, values: AnyArray, known: Document | None) -> Document:
    """Describe an extra dimension that keeps the values of an attribute: that of the file, or one like it."""
    plain = _plain_dimension(attribute, values, known)
    candidates = [plain]
    if known is not None:
        kind = np.dtype(str(known["type"]))
        wider = [name for name in _WIDER_TYPES if np.dtype(name).itemsize > kind.itemsize] if kind.kind in "iu" else []
        candidates = [{**known, "type": name} for name in (known["type"], *wider)] + [plain]
    for candidate in candidates:
        for document in _with_no_data(candidate, values):
            if Dimension.of(document).holds(values):
                return document
    raise UnsupportedFeatureError(
        f"attribute {attribute!r} of {values.dtype} has missing values, and no value of its type is left to stand for "
        "them; leave it out of attributes=, or make it wider"
    )


def _with_no_data(document: Document, values: AnyArray) -> Iterator[Document]:
    """Yield a dimension with its own no-data value, without one, and with others where values are missing."""
    own = document.get("no_data")
    rest = {key: value for key, value in document.items() if key != "no_data"}
    kind = np.dtype(str(document["type"]))
    if own is not None and (kind.kind == "f" or all(np.iinfo(kind).min <= v <= np.iinfo(kind).max for v in own)):
        yield document
    yield rest
    if kind.kind in "iu" and isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        limits = np.iinfo(kind)
        ends = (limits.min, limits.max) if kind.kind == "i" else (limits.max, limits.min)
        fill = [int(values.fill_value)] if values.dtype.kind in "iu" else []
        for value in (*(value for value in fill if limits.min <= value <= limits.max), *ends):
            yield {**rest, "no_data": [value] * int(document["elements"])}


def _plain_dimension(attribute: str, values: AnyArray, known: Document | None) -> Document:
    """Describe an extra dimension of an attribute's own type."""
    wider: dict[str, np.dtype[Any]] = {"?": np.dtype(np.uint8), "e": np.dtype(np.float32)}
    kind = wider.get(values.dtype.char, values.dtype)
    elements = 1 if values.ndim == 1 else values.shape[1]
    if kind.kind not in "iuf" or kind.itemsize > 8 or (elements > _MOST_ELEMENTS and kind != np.uint8):
        held = f"{elements} channels of {values.dtype}" if values.ndim == 2 else f"{values.dtype}"
        raise UnsupportedFeatureError(
            f"attribute {attribute!r} of {held} has no place in LAS, which holds numbers of 8 to 64 bits, up to three "
            "together; leave it out of attributes="
        )
    return {
        "attribute": attribute,
        "name": attribute if known is None else known["name"],
        "type": kind.str.lstrip("<>=|"),
        "elements": elements,
        "description": "" if known is None else known.get("description", ""),
    }
