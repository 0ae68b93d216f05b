"""The header of a LAS file ⇄ a JSON document, so that a file can be written as it was read."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable
from typing import Any

from zarr_vectors.convert.las.dimensions import Dimension
from zarr_vectors.extras import require
from zarr_vectors.typing import Document

METADATA_KEY = "las"
"""Key of the user metadata of a store that holds the document."""

DERIVED_RECORDS = {("laszip encoded", 22204), ("LASF_Spec", 4), ("copc", 1), ("copc", 1000)}
"""Records that describe how a file is laid out or are made anew from its dimensions."""


def header_document(header: Any, dimensions: Iterable[Dimension]) -> Document:
    """Return what a header says, without counts and extents, which follow from the points."""
    created = header.creation_date
    return {
        "version": str(header.version),
        "point_format": int(header.point_format.id),
        "scales": [float(scale) for scale in header.scales],
        "offsets": [float(offset) for offset in header.offsets],
        "file_source_id": int(header.file_source_id),
        "global_encoding": int(header.global_encoding.value),
        "system_identifier": _text(header.system_identifier),
        "generating_software": _text(header.generating_software),
        "creation_date": None if created is None else created.isoformat(),
        "extra_dimensions": [document for dim in dimensions if (document := dim.document()) is not None],
        "records": _record_documents(header.vlrs or []),
        "extended_records": _record_documents(header.evlrs or []),
    }


def make_header(document: Document) -> Any:
    """Return the laspy header that a document describes.

    Parameters
    ----------
    document : dict
        As :func:`header_document` makes it; required are ``version``, ``point_format``, ``scales`` and
        ``offsets``.
    """
    laspy = require("laspy", "las", "LAS files")
    header = laspy.LasHeader(version=document["version"], point_format=document["point_format"])
    header.scales, header.offsets = document["scales"], document["offsets"]
    header.file_source_id = document.get("file_source_id", 0)
    header.global_encoding = type(header.global_encoding)(document.get("global_encoding", 0))
    header.system_identifier = document.get("system_identifier", "OTHER")
    header.generating_software = document.get("generating_software", "zarr-vectors")
    if document.get("creation_date"):
        header.creation_date = datetime.date.fromisoformat(document["creation_date"])
    extra = [
        laspy.ExtraBytesParams(
            name=dimension["name"],
            type=_extra_type(dimension),
            description=dimension.get("description", ""),
            scales=dimension.get("scales"),
            offsets=dimension.get("offsets"),
        )
        for dimension in document.get("extra_dimensions", [])
    ]
    if extra:
        header.add_extra_dims(extra)
    header.vlrs.extend(_records(laspy, document.get("records", [])))
    if document.get("extended_records"):
        header.evlrs = laspy.vlrs.vlrlist.VLRList()
        header.evlrs.extend(_records(laspy, document["extended_records"]))
    return header


def _extra_type(dimension: Document) -> str:
    elements = int(dimension.get("elements", 1))
    return str(dimension["type"]) if elements == 1 else f"{elements}{dimension['type']}"


def _text(value: Any) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text.rstrip("\x00 ")


def _record_documents(records: Iterable[Any]) -> list[Document]:
    return [
        {
            "user_id": _text(record.user_id),
            "record_id": int(record.record_id),
            "description": _text(record.description),
            "data": base64.b64encode(bytes(record.record_data_bytes())).decode("ascii"),
        }
        for record in records
        if (_text(record.user_id), int(record.record_id)) not in DERIVED_RECORDS
    ]


def _records(laspy: Any, documents: Iterable[Document]) -> list[Any]:
    return [
        laspy.VLR(
            user_id=document["user_id"],
            record_id=document["record_id"],
            description=document["description"],
            record_data=base64.b64decode(document["data"]),
        )
        for document in documents
    ]
