"""The variable length records of a LAS file, byte for byte.

laspy parses those that it knows and writes them anew, which changes some; here they are as they are in the file
(LAS 1.4 R15, tables 6 and 21; 1.3 R11 has the record of waveforms behind the points, in the same form).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.typing import Document

SPECIFICATION_USER = "LASF_Spec"
WAVEFORM_RECORD = 65535
DERIVED_RECORDS = {("laszip encoded", 22204), (SPECIFICATION_USER, 4), ("copc", 1), ("copc", 1000)}
"""Records that describe how a file is laid out, or are made anew from its dimensions."""
LONGEST = 0xFFFF
"""Most bytes of a record before the points."""
_HEADER = struct.Struct("<2x16sH")
_COUNTS = {False: struct.Struct("<H32s"), True: struct.Struct("<Q32s")}


@dataclass(frozen=True, slots=True)
class Record:
    """A record.

    Parameters
    ----------
    user_id, description : str
        Their bytes before the first zero, as Latin-1.
    record_id : int
        From 0 to 65,535.
    data : bytes
        Of any length behind the points, else of at most 65,535 bytes.
    """

    user_id: str
    record_id: int
    description: str
    data: bytes

    @property
    def derived(self) -> bool:
        """Whether the record follows from the rest of a file."""
        return (self.user_id.rstrip(), self.record_id) in DERIVED_RECORDS

    @property
    def waveforms(self) -> bool:
        """Whether these are the waveforms of the points."""
        return (self.user_id.rstrip(), self.record_id) == (SPECIFICATION_USER, WAVEFORM_RECORD)

    def encode(self, *, extended: bool) -> bytes:
        """Return the bytes of the record."""
        head = _HEADER.pack(self.user_id.encode("latin-1"), self.record_id)
        return head + _COUNTS[extended].pack(len(self.data), self.description.encode("latin-1")) + self.data

    def document(self) -> Document:
        """Return the record as JSON has it."""
        return {
            "user_id": self.user_id,
            "record_id": self.record_id,
            "description": self.description,
            "data": base64.b64encode(self.data).decode("ascii"),
        }

    @classmethod
    def of(cls, document: Document) -> Record:
        """Return the record of a document."""
        data = base64.b64decode(document["data"])
        return cls(document["user_id"], int(document["record_id"]), document["description"], data)


def field_text(raw: bytes) -> str:
    """Return the text of a field that zeros fill up; any byte is a character, so that nothing is lost."""
    return raw.partition(b"\0")[0].decode("latin-1")


def read_records(file: BinaryIO, header: Any) -> tuple[list[Record], list[Record]]:
    """Read the records before and behind the points.

    Parameters
    ----------
    file : binary file
        Can seek; it is left elsewhere.
    header : laspy.LasHeader
        Of the file.

    Raises
    ------
    ArrayError
        When the file ends within a record.
    """
    file.seek(94)
    size, _, count = struct.unpack("<HII", file.read(10))
    file.seek(size)
    records = [_read_record(file, extended=False) for _ in range(count)]
    behind = header.version.minor >= 4 and header.number_of_evlrs
    start = header.start_of_first_evlr if behind else header.start_of_waveform_data_packet_record
    wanted = header.number_of_evlrs if behind else header.global_encoding.waveform_data_packets_internal and start
    extended = []
    if wanted:
        file.seek(start)
        extended = [_read_record(file, extended=True) for _ in range(int(wanted) if behind else 1)]
    return records, extended


def _read_record(file: BinaryIO, *, extended: bool) -> Record:
    counts = _COUNTS[extended]
    head = file.read(_HEADER.size + counts.size)
    if len(head) == _HEADER.size + counts.size:
        user, number = _HEADER.unpack_from(head)
        length, description = counts.unpack_from(head, _HEADER.size)
        data = file.read(length) if length <= LONGEST or length <= _left(file) else b""
        if len(data) == length:
            return Record(field_text(user), number, field_text(description), data)
    raise ArrayError("the file ends within a variable length record")


def _left(file: BinaryIO) -> int:
    here = file.tell()
    end = file.seek(0, 2)
    file.seek(here)
    return end - here


def write_behind(writer: Any, records: Iterable[Record]) -> None:
    """Write records behind the points, and where they are into the header.

    Parameters
    ----------
    writer : laspy.LasWriter
        All points are written.
    records : iterable of Record
        In their order.
    """
    records = list(records)
    if not records:
        return
    writer.point_writer.done()
    writer.done = True
    header, file = writer.header, writer.dest
    if header.version.minor >= 4:
        header.start_of_first_evlr, header.number_of_evlrs = file.tell(), len(records)
    for record in records:
        if record.waveforms:
            header.start_of_waveform_data_packet_record = file.tell()
        file.write(record.encode(extended=True))
