"""Dimensions of LAS points ⇄ attributes.

Names, meanings and units are those of the LAS 1.4 R15 specification (ASPRS), tables 7 to 18 and 23 to 25.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import check_name
from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.typing import AnyArray, Document

COORDINATES = ("X", "Y", "Z")
COLOUR = ("red", "green", "blue")
COLOUR_ATTRIBUTE = "color"
COLOUR_MEANING = "Colour channels, as the file scales them"

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


@dataclass(frozen=True, slots=True)
class Dimension:
    """One attribute, and the dimension or dimensions of a file that it comes from.

    Parameters
    ----------
    attribute : str
        Name of the attribute.
    sources : tuple of str
        Names of the dimensions, one for each channel where there are several.
    dtype : numpy.dtype
        Type of the attribute's values.
    elements : int
        Values of a row of an extra dimension.
    scales, offsets : (elements,) float64, optional
        ``value = raw * scale + offset`` of an extra dimension that is scaled.
    raw : str, optional
        NumPy type of an extra dimension's stored values; None for standard dimensions.
    description : str
        From the file, for extra dimensions.
    bits : int, optional
        Width of a bit field.
    """

    attribute: str
    sources: tuple[str, ...]
    dtype: np.dtype[Any]
    elements: int = 1
    scales: AnyArray | None = None
    offsets: AnyArray | None = None
    raw: str | None = None
    description: str = ""
    bits: int | None = None

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
        unit, meaning = MEANINGS.get(self.sources[0], (None, None)) if self.raw is None else (None, None)
        return AttributeSpec(unit=unit, description=meaning or self.description or None)

    def document(self) -> Document | None:
        """Return what is needed to make an extra dimension anew; None for standard ones."""
        if self.raw is None:
            return None
        document: Document = {
            "attribute": self.attribute,
            "name": self.sources[0],
            "type": self.raw,
            "elements": self.elements,
            "description": self.description,
        }
        if self.scales is not None and self.offsets is not None:
            document |= {"scales": self.scales.tolist(), "offsets": self.offsets.tolist()}
        return document

    def holds(self, values: AnyArray) -> bool:
        """Return whether the dimension can keep an attribute's values as they are."""
        shape = (len(values),) if self.channels is None else (len(values), self.channels)
        if values.shape != shape or values.dtype.kind not in "biuf":
            return False
        if self.scales is not None or values.size == 0:
            return True
        if self.bits is not None and not (values.min() >= 0 and values.max() < 2**self.bits):
            return False
        with np.errstate(invalid="ignore", over="ignore"):
            return bool(np.array_equal(values.astype(self.dtype), values, equal_nan=values.dtype.kind == "f"))

    def values(self, points: Any) -> AnyArray:
        """Return the attribute's values of a laspy point record."""
        if len(self.sources) > 1:
            return np.stack([np.asarray(points[name]) for name in self.sources], axis=1)
        if self.raw is None:
            return np.asarray(points[self.sources[0]]).astype(self.dtype, copy=False)
        stored = np.asarray(points.array[self.sources[0]])
        if self.scales is None or self.offsets is None:
            return stored
        if stored.ndim == 1:
            return np.asarray(stored * self.scales[0] + self.offsets[0])
        return np.asarray(stored * self.scales + self.offsets)


def list_dimensions(point_format: Any) -> list[Dimension]:
    """Return the attributes that hold everything of a point format except the coordinates.

    Parameters
    ----------
    point_format : laspy.PointFormat
        Of the file.
    """
    found = {info.name: info for info in point_format.dimensions}
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
        dimensions.append(_standard(name, attribute, info) if info.is_standard else _extra(name, attribute, info))
    return dimensions


def _standard(name: str, attribute: str, info: Any) -> Dimension:
    """Return a dimension of the specification; bit fields of one bit are booleans."""
    if info.dtype is not None:
        return Dimension(attribute, (name,), np.dtype(info.dtype))
    field_type = np.dtype(np.bool_ if info.num_bits == 1 else np.uint8)
    return Dimension(attribute, (name,), field_type, bits=int(info.num_bits))


def _extra(name: str, attribute: str, info: Any) -> Dimension:
    """Return a dimension that the file's producer added."""
    stored = np.dtype(info.dtype).base
    scaled = bool(info.is_scaled)
    return Dimension(
        attribute,
        (name,),
        np.dtype(np.float64) if scaled else stored,
        int(info.num_elements),
        np.atleast_1d(np.asarray(info.scales, np.float64)) if scaled else None,
        np.atleast_1d(np.asarray(info.offsets, np.float64)) if scaled else None,
        stored.str.lstrip("<>=|"),
        str(info.description or "").rstrip("\x00 "),
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
