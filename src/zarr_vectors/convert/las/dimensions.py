"""Dimensions of LAS points ⇄ attributes.

Names, meanings and units are those of the LAS 1.4 R15 specification (ASPRS), tables 7 to 18 and 23 to 25.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError, ArrayError
from zarr_vectors.formats.columns import check_name
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.typing import AnyArray, Document

COORDINATES = ("X", "Y", "Z")
COLOUR = ("red", "green", "blue")
COLOUR_ATTRIBUTE = "color"
COLOUR_MEANING = "Colour channels, as the file scales them"
_BLOCK = 1_000_000
_ROUNDINGS = 4
"""How many steps of 64-bit floats a value may move where it is multiplied and added to."""

MEANINGS: Mapping[str, tuple[str | None, str]] = {
    "intensity": (None, "Strength of the returned pulse, as the file scales it"),
    "return_number": (None, "Number of this return of its pulse, from 1"),
    "number_of_returns": (None, "Returns of the pulse"),
    "scan_direction_flag": (None, "Whether the scanner mirror moved from left to right"),
    "edge_of_flight_line": (None, "Whether this is the last point before the scanner turned"),
    "classification": (None, "Class code (2 ground, 5 high vegetation, 6 building, 9 water, ...)"),
    "synthetic": (None, "Whether the point was not measured by lidar"),
    "key_point": (None, "Whether the point should be kept when thinning"),
    "withheld": (None, "Whether the point should not be used"),
    "overlap": (None, "Whether the point lies where flight lines overlap"),
    "scanner_channel": (None, "Channel of a multi-channel system"),
    "scan_angle_rank": ("degree", "Scan angle, rounded; 0 is nadir, negative is left"),
    "scan_angle": (None, "Scan angle in steps of 0.006 degrees; 0 is nadir, negative is left"),
    "user_data": (None, "Free for the producer"),
    "point_source_id": (None, "Flight line or other source"),
    "gps_time": ("second", "GPS time of the pulse: of the week, or standard time minus 1e9"),
    "nir": (None, "Near infrared channel, as the file scales it"),
}

LABELS = frozenset(
    [
        "classification",
        "return_number",
        "number_of_returns",
        "scanner_channel",
        "user_data",
        "point_source_id",
        "wavepacket_index",
        "wavepacket_offset",
        "wavepacket_size",
    ]
)
"""Whole numbers that say which, not how much: coarse levels have the most frequent one."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One attribute, and the dimension or dimensions of a file that it comes from.

    Parameters
    ----------
    attribute : str
        Name of the attribute.
    sources : tuple of str
        Names of the dimensions, one for each channel where there are several.
    stored : numpy.dtype
        Type of the values in the file.
    elements : int
        Values of a row of an extra dimension.
    scales, offsets : (elements,) float64, optional
        ``value = raw * scale + offset`` of an extra dimension that is scaled.
    no_data : (elements,) array of ``stored``, optional
        Stored value of an extra dimension that means "missing".
    extra : bool
        Whether the file's producer added it.
    description : str
        From the file, for extra dimensions.
    bits : int, optional
        Width of a bit field.
    """

    attribute: str
    sources: tuple[str, ...]
    stored: np.dtype[Any]
    elements: int = 1
    scales: AnyArray | None = None
    offsets: AnyArray | None = None
    no_data: AnyArray | None = None
    extra: bool = False
    description: str = ""
    bits: int | None = None

    @classmethod
    def of(cls, document: Document) -> Dimension:
        """Return the extra dimension that a document describes."""
        stored = np.dtype(str(document["type"]))
        no_data = document.get("no_data")
        return cls(
            str(document["attribute"]),
            (str(document["name"]),),
            stored,
            int(document.get("elements", 1)),
            None if document.get("scales") is None else np.asarray(document["scales"], np.float64),
            None if document.get("offsets") is None else np.asarray(document["offsets"], np.float64),
            None if no_data is None else np.array([stored.type(value) for value in no_data], stored),
            extra=True,
            description=str(document.get("description", "")),
        )

    @property
    def scaled(self) -> bool:
        """Whether values are others than those that are stored; those of scale 1 and offset 0 are the same."""
        if self.scales is None or self.offsets is None:
            return False
        return bool((self.scales != 1).any() or (self.offsets != 0).any())

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the attribute's values."""
        if self.bits is not None:
            return np.dtype(np.bool_ if self.bits == 1 else np.uint8)
        return np.dtype(np.float64) if self.scaled else self.stored

    @property
    def masked(self) -> bool:
        """Whether missing values need a mask, since the type of the values has none of its own."""
        return self.no_data is not None and self.dtype.kind != "f"

    @property
    def channels(self) -> int | None:
        """Number of channels, or None for a scalar attribute."""
        width = max(len(self.sources), self.elements)
        return None if width == 1 else width

    @property
    def spec(self) -> AttributeSpec:
        """Unit, description and channel names of the attribute."""
        if len(self.sources) > 1:
            return AttributeSpec(description=COLOUR_MEANING, channel_names=self.sources)
        unit, meaning = (None, None) if self.extra else MEANINGS.get(self.sources[0], (None, None))
        label = not self.extra and self.sources[0] in LABELS
        return AttributeSpec(
            unit=unit, description=meaning or self.description or None, aggregation="mode" if label else None
        )

    def document(self) -> Document | None:
        """Return what is needed to make an extra dimension anew; None for standard ones."""
        if not self.extra:
            return None
        document: Document = {
            "attribute": self.attribute,
            "name": self.sources[0],
            "type": self.stored.str.lstrip("<>=|"),
            "elements": self.elements,
            "description": self.description,
        }
        if self.scales is not None and self.offsets is not None:
            document |= {"scales": self.scales.tolist(), "offsets": self.offsets.tolist()}
        if self.no_data is not None:
            document["no_data"] = [v if math.isfinite(v) else repr(v) for v in self.no_data.tolist()]
        return document

    def empty(self, count: int) -> AnyArray:
        """Return room for the attribute's values of some points."""
        shape = (count,) if self.channels is None else (count, self.channels)
        values = np.empty(shape, self.dtype)
        return np.ma.MaskedArray(values, np.zeros(shape, bool)) if self.masked else values

    def holds(self, values: AnyArray) -> bool:
        """Return whether the dimension can keep an attribute's values as they are."""
        shape = (len(values),) if self.channels is None else (len(values), self.channels)
        return values.shape == shape and all(
            self.encode(values[start : start + _BLOCK]) is not None for start in range(0, max(1, len(values)), _BLOCK)
        )

    def encode(self, values: AnyArray) -> AnyArray | None:
        """Return what is stored for values, missing ones as the no-data value; None where that would change one."""
        plain = np.ma.getdata(values)
        if plain.dtype.kind not in "biuf":
            return None
        missing = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else np.zeros(plain.shape, bool)
        if plain.dtype.kind == "f" and (self.stored.kind != "f" or self.no_data is not None):
            missing = missing | np.isnan(plain)
        if missing.any() and self.no_data is None:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            stored, same = self._scale(plain) if self.scaled else _cast(plain, self.stored)
        if self.bits is not None:
            same &= stored < 2**self.bits
        if self.no_data is not None:
            same &= stored != self.no_data
            stored = np.where(missing, self.no_data, stored)
        return stored if (same | missing).all() else None

    def _scale(self, values: AnyArray) -> tuple[AnyArray, AnyArray]:
        """Return ``(value - offset) / scale`` in the stored type, and where that gives the value back."""
        floats, same = _cast(values, np.dtype(np.float64))
        scales, offsets = self._conversion(values)
        raw = (floats - offsets) / scales
        if self.stored.kind != "f":
            limits = np.iinfo(self.stored)
            raw = np.rint(raw)
            same &= (raw >= float(limits.min)) & (raw < float(limits.max) + (1 if self.stored.itemsize < 8 else 0))
            raw = np.where(same, raw, 0)
        stored = raw.astype(self.stored)
        allowed = _ROUNDINGS * np.spacing(np.maximum(np.abs(floats), np.abs(offsets)))
        back = stored * scales + offsets
        given_back = (np.abs(back - floats) <= allowed) | (back == floats) | (np.isnan(back) & np.isnan(floats))
        return stored, same & given_back

    def _conversion(self, values: AnyArray) -> tuple[AnyArray, AnyArray]:
        assert self.scales is not None
        assert self.offsets is not None
        return (self.scales, self.offsets) if values.ndim == 2 else (self.scales[0], self.offsets[0])

    def values(self, points: Any) -> AnyArray:
        """Return the attribute's values of a laspy point record.

        Raises
        ------
        ArrayError
            When 64-bit floats cannot hold values times their scale exactly.
        """
        if len(self.sources) > 1:
            return np.stack([np.asarray(points[name]) for name in self.sources], axis=1)
        if not self.extra:
            return np.asarray(points[self.sources[0]]).astype(self.dtype, copy=False)
        stored = np.asarray(points.array[self.sources[0]])
        values = stored
        if self.scaled:
            scales, offsets = self._conversion(stored)
            values = stored * scales + offsets
        if self.no_data is not None:
            missing = stored == self.no_data
            values = np.ma.MaskedArray(values, missing) if self.masked else np.where(missing, np.nan, values)
        if self.scaled and not self._gives_back(values, stored):
            raise ArrayError(
                f"the dimension {self.sources[0]!r} holds numbers of {self.stored} that 64-bit floats do not give back "
                f"at scale {self.scales}; leave it out of attributes="
            )
        return values

    def _gives_back(self, values: AnyArray, stored: AnyArray) -> bool:
        again = self.encode(values)
        return again is not None and np.array_equal(again, stored, equal_nan=self.stored.kind == "f")


def _cast(values: AnyArray, stored: np.dtype[Any]) -> tuple[AnyArray, AnyArray]:
    """Return values in another type, and where they are the same there; a NaN stays one."""
    cast = values.astype(stored, copy=False)
    same = np.asarray(cast.astype(values.dtype, copy=False) == values)
    # What is beyond a type comes back by chance: it wraps, or stays at the type's end.
    if values.dtype.kind == "f" and stored.kind == "f":
        same |= np.isnan(values)
    elif values.dtype.kind == "f":
        same &= values < 2.0 ** (8 * stored.itemsize - (stored.kind == "i"))
    elif stored.kind == "f":
        same &= cast < 2.0 ** (8 * values.dtype.itemsize - (values.dtype.kind == "i"))
    else:
        same &= (cast < 0) == (values < 0)
    return cast, same


def list_dimensions(header: Any) -> list[Dimension]:
    """Return the attributes that hold everything of a file's points except the coordinates.

    Parameters
    ----------
    header : laspy.LasHeader
        Of the file.
    """
    found = {info.name: info for info in header.point_format.dimensions}
    no_data = {
        struct.format_name(): struct.no_data
        for record in header.vlrs.get("ExtraBytesVlr")
        for struct in record.extra_bytes_structs
        if struct.data_type
    }
    taken: set[str] = set()
    dimensions = []
    if set(COLOUR) <= set(found):
        dimensions.append(Dimension(COLOUR_ATTRIBUTE, COLOUR, np.dtype(np.uint16)))
        taken.add(COLOUR_ATTRIBUTE)
    for name, info in found.items():
        if name in COORDINATES or (name in COLOUR and dimensions and dimensions[0].sources == COLOUR):
            continue
        attribute = _attribute_name(name, taken)
        taken.add(attribute.lower())
        if info.is_standard:
            dimensions.append(_standard(name, attribute, info))
        else:
            dimensions.append(_extra(name, attribute, info, no_data.get(name)))
    return dimensions


def _standard(name: str, attribute: str, info: Any) -> Dimension:
    """Return a dimension of the specification; bit fields of one bit are booleans."""
    if info.dtype is not None:
        return Dimension(attribute, (name,), np.dtype(info.dtype))
    return Dimension(attribute, (name,), np.dtype(np.uint8), bits=int(info.num_bits))


def _extra(name: str, attribute: str, info: Any, no_data: AnyArray | None) -> Dimension:
    """Return a dimension that the file's producer added."""
    scaled = bool(info.is_scaled)
    return Dimension(
        attribute,
        (name,),
        np.dtype(info.dtype).base,
        int(info.num_elements),
        np.atleast_1d(np.asarray(info.scales, np.float64)) if scaled else None,
        np.atleast_1d(np.asarray(info.offsets, np.float64)) if scaled else None,
        no_data,
        extra=True,
        description=str(info.description or "").rstrip("\x00 "),
    )


def _attribute_name(name: str, taken: Iterable[str]) -> str:
    """Return a name that can be a folder and differs from those taken."""
    candidate = re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f]', "_", name).rstrip(". ")
    try:
        check_name("attributes", candidate)
    except ArgumentError:
        candidate = f"las_{candidate.lstrip('._')}"
    unique, number = candidate, 2
    while unique.lower() in taken:
        unique, number = f"{candidate}_{number}", number + 1
    return unique
