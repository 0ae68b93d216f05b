"""The header of a LAS file ⇄ a JSON document, so that a file can be written as it was read."""

from __future__ import annotations

import base64
import datetime
import uuid
from collections.abc import Collection, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from zarr_vectors.convert.las.dimensions import Dimension
from zarr_vectors.convert.las.records import Record, field_text
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.extras import require
from zarr_vectors.typing import Document

METADATA_KEY = "las"
"""Key of the user metadata of a store that holds the document."""
APPENDED_KEY = "appended"
"""Key of the document that holds those of the files that were appended to the store."""
GPS_ATTRIBUTE = "gps_time"
WAVE_ATTRIBUTE = "wavepacket_offset"
"""Where in the waveforms of the file that of a point begins."""
_OLDEST = "1.1"


def header_document(
    header: Any, dimensions: Iterable[Dimension], records: tuple[list[Record], list[Record]]
) -> Document:
    """Return what a header says, without counts and extents, which follow from the points."""
    created = header.creation_date
    document: Document = {
        "version": str(header.version),
        "point_format": int(header.point_format.id),
        "scales": [float(scale) for scale in header.scales],
        "offsets": [float(offset) for offset in header.offsets],
        "file_source_id": int(header.file_source_id),
        "global_encoding": int(header.global_encoding.value),
        "guid": str(header.uuid),
        "system_identifier": _text(header.system_identifier),
        "generating_software": _text(header.generating_software),
        "creation_date": None if created is None else created.isoformat(),
        "extra_dimensions": [made for dim in dimensions if (made := dim.document()) is not None],
    }
    for key, kept in zip(("records", "extended_records"), records, strict=True):
        document[key] = [record.document() for record in kept if not record.derived]
    for key in ("extra_header_bytes", "extra_vlr_bytes"):
        if getattr(header, key, b""):
            document[key] = base64.b64encode(getattr(header, key)).decode("ascii")
    if getattr(header, "gps_time_offset", 0):
        document["gps_time_offset"] = int(header.gps_time_offset)
    return document


def _text(value: str | bytes) -> str:
    return field_text(value) if isinstance(value, bytes) else value


def join_headers(held: Mapping[str, Any], given: Mapping[str, Any], names: Collection[str]) -> Document:
    """Return the document of a store with that of a file that is appended; what the first says stays.

    Parameters
    ----------
    held, given : dict
        Of the store and of the file, as :func:`header_document` makes them.
    names : collection of str
        Attributes that are taken over.

    Raises
    ------
    ArgumentError
        When values of the two cannot be understood in one file.
    """
    weeks = [document.get("global_encoding", 0) & 1 for document in (held, given)]
    if GPS_ATTRIBUTE in names and weeks[0] != weeks[1]:
        said = ["seconds of the week", "standard seconds minus 1e9"]
        raise ArgumentError(
            f"mode='a': GPS times of the store are {said[weeks[0]]}, those of {given.get('file')} {said[weeks[1]]}; "
            f"make a store of its own, or leave {GPS_ATTRIBUTE} out of the attributes of both"
        )
    if WAVE_ATTRIBUTE in names:
        raise ArgumentError(
            f"mode='a': the points of {given.get('file')} name places in its own waveforms, which cannot be joined "
            "with those of the store; make a store of its own, or leave the wavepacket_* attributes out of both"
        )
    return {**held, APPENDED_KEY: [*held.get(APPENDED_KEY, []), dict(given)]}


def make_header(document: Document) -> Any:
    """Return the laspy header that a document describes, without the records behind the points.

    Parameters
    ----------
    document : dict
        As :func:`header_document` makes it; required are ``version``, ``point_format``, ``scales`` and
        ``offsets``.
    """
    laspy = require("laspy", "las", "LAS files")
    version = max(document["version"], _OLDEST)
    header = laspy.LasHeader(version=version, point_format=document["point_format"])
    header.scales, header.offsets = document["scales"], document["offsets"]
    header.file_source_id = document.get("file_source_id", 0)
    header.global_encoding = type(header.global_encoding)(document.get("global_encoding", 0))
    header.uuid = uuid.UUID(document.get("guid", "0" * 32))
    header.system_identifier = document.get("system_identifier", "OTHER").encode("latin-1")
    header.generating_software = document.get("generating_software", "zarr-vectors").encode("latin-1")
    if "creation_date" in document:
        header.creation_date = _date(document["creation_date"])
    for key in ("extra_header_bytes", "extra_vlr_bytes"):
        setattr(header, key, base64.b64decode(document.get(key, "")))
    if "gps_time_offset" in document:
        header.gps_time_offset = document["gps_time_offset"]
    extra = [_extra_dimension(laspy, dimension) for dimension in document.get("extra_dimensions", [])]
    if extra:
        header.add_extra_dims(extra)
    for described in header.vlrs.get("ExtraBytesVlr"):
        for struct in described.extra_bytes_structs:
            if struct.data_type:
                # laspy takes the smallest and the largest value from one point of every batch.
                struct.options &= ~(struct.MIN_BIT_MASK | struct.MAX_BIT_MASK)
    header._vlrs = _records_before(laspy, header.vlrs, map(Record.of, document.get("records", [])))
    return header


def _date(text: str | None) -> Any:
    """Return the day a file was made on; for a file that states none, what laspy writes as zeros."""
    if text is not None:
        return datetime.date.fromisoformat(text)
    return SimpleNamespace(year=0, timetuple=lambda: SimpleNamespace(tm_yday=0))


def _extra_dimension(laspy: Any, dimension: Document) -> Any:
    elements = int(dimension.get("elements", 1))
    made = Dimension.of(dimension)
    return laspy.ExtraBytesParams(
        name=dimension["name"],
        type=str(dimension["type"]) if elements == 1 else f"{elements}{dimension['type']}",
        description=dimension.get("description", ""),
        scales=made.scales,
        offsets=made.offsets,
        no_data=made.no_data,
    )


def _records_before(laspy: Any, made: Iterable[Any], kept: Iterable[Record]) -> Any:
    """Return records in laspy's list, which writes those that were kept byte for byte."""

    class Records(laspy.vlrs.vlrlist.VLRList):  # type: ignore[misc]
        def write_to(self, stream: Any, as_extended: bool = False, encoding_errors: str = "strict") -> int:
            written = 0
            for record in self:
                if not isinstance(record, Record):
                    data = bytes(record.record_data_bytes())
                    record = Record(_text(record.user_id), record.record_id, _text(record.description), data)
                written += stream.write(record.encode(extended=as_extended))
            return written

    return Records([*made, *kept])
