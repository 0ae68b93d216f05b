"""The single bytes-to-bytes codecs that a pipeline chains, by the names Zarr v3 gives them.

Each codec states the size it will decode to where its frame says so, so that a damaged or hostile cell is
refused before memory is asked for. All of them may be called from several threads at once: zstd, blosc and
zlib release the interpreter lock while they work.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numcodecs
import numcodecs.blosc
import numcodecs.zstd

from zarr_vectors.encoding.checksum import CHECKSUM_LENGTH, CHECKSUM_NAME, checksum_bytes, crc32c, is_sound
from zarr_vectors.encoding.flat import byte_view
from zarr_vectors.exceptions import ArgumentError, ArrayError, UnsupportedFeatureError
from zarr_vectors.typing import Bytes, Document

BLOSC_SHUFFLES: Final = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
BLOSC_COMPRESSORS: Final = ("zstd", "lz4", "lz4hc", "blosclz", "zlib", "snappy")
BLOSC_LIMIT: Final = 2**31 - 1 - 16
"""Largest input of one blosc frame, in bytes."""

_ZSTD_MAGIC: Final = bytes.fromhex("28b52ffd")
LARGEST_RATIO: Final = 2**15
"""No frame decodes to more bytes for each of its own: a zstd block of four bytes or more holds up to 128 KiB (RFC 8878,
3.1.1.2), and the other compressors inside blosc do less."""

DECODED_LIMIT: Final = 2**32 + 2**16
"""Largest number of bytes that one cell or Zarr chunk decodes to, at any step: what a cell's 32-bit length can say."""

_GENERIC: Final = (
    "zlib",
    "lz4",
    "bz2",
    "lzma",
    "shuffle",
    "crc32",
    "adler32",
    "fletcher32",
    "jenkins_lookup3",
)
"""Codecs of numcodecs that turn bytes into bytes, named ``numcodecs.<id>`` in Zarr v3 documents."""


class Codec(Protocol):
    """One step of a pipeline."""

    def encode(self, data: Bytes) -> bytes:
        """Give the encoded bytes."""

    def decode(self, data: Bytes, limit: int | None) -> bytes | memoryview:
        """Give the decoded bytes, or raise ``ArrayError`` for damage or more than `limit` bytes."""

    def decoded_size(self, data: Bytes) -> int | None:
        """Give the size that the frame states, or None when it states none."""


def _plausible(name: str, size: int | None, data: Bytes) -> int | None:
    """Give the size that a frame states, or refuse one that so few bytes cannot decode to."""
    length = byte_view(data).nbytes
    if size is not None and size > LARGEST_RATIO * length:
        raise ArrayError(f"damaged {name} frame: {length} bytes cannot decode to the {size} it states")
    return size


def _check_limit(name: str, size: int | None, limit: int | None) -> None:
    if size is not None and limit is not None and size > limit:
        raise ArrayError(
            f"a {name} frame decodes to {size} bytes where at most {limit} are allowed; "
            "the bytes are damaged, or the limit is too low for this array"
        )


def _zstd_header(data: Bytes) -> tuple[int | None, int]:
    """Give the content size a zstd frame states, and the length of its header (RFC 8878, 3.1.1.1)."""
    head = bytes(byte_view(data)[:18])
    if len(head) < 6 or head[:4] != _ZSTD_MAGIC:
        return None, 0
    descriptor = head[4]
    if descriptor & 0xE3 == 0x20:  # one segment, no dictionary, fewer than 256 bytes
        return head[5], 6
    single_segment = bool(descriptor & 0x20)
    width = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
    start = 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3]
    if width == 0 or len(head) < start + width:
        return None, start
    size = int.from_bytes(head[start : start + width], "little")
    return (size + 256 if width == 2 else size), start + width


@dataclass(frozen=True, slots=True)
class ZstdCodec:
    """Zstandard frames (RFC 8878)."""

    level: int = 0
    checksum: bool = False

    def encode(self, data: Bytes) -> bytes:
        """Give one frame, which states its decoded size."""
        return bytes(numcodecs.zstd.compress(byte_view(data), self.level, self.checksum))

    def decode(self, data: Bytes, limit: int | None) -> bytes:
        """Decode one frame; a stated size is checked against `limit` first."""
        size = self.decoded_size(data)
        _check_limit("zstd", size, limit)
        if size == 0:
            return self._decode_nothing(data)
        try:
            decoded = bytes(numcodecs.zstd.decompress(data))
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ArrayError(f"damaged zstd frame of {len(data)} bytes: {error}") from error
        _check_limit("zstd", len(decoded), limit)
        return decoded

    def decoded_size(self, data: Bytes) -> int | None:
        """Read the content size of the frame header, where the frame has one."""
        return _plausible("zstd", _zstd_header(data)[0], data)

    def _decode_nothing(self, data: Bytes) -> bytes:
        """Check a frame of no content, which the library refuses: an empty last block, perhaps a checksum."""
        end = _zstd_header(data)[1]
        checked = bool(byte_view(data)[4] & 0x04)
        if bytes(byte_view(data)[end : end + 3]) != b"\1\0\0" or len(data) != end + 3 + 4 * checked:
            raise ArrayError(f"damaged zstd frame of {len(data)} bytes: it states no content and holds some")
        return b""


@dataclass(frozen=True, slots=True)
class BloscCodec:
    """Blosc frames: a shuffle of the bytes of each item, then a fast compressor, block by block."""

    cname: str = "zstd"
    clevel: int = 1
    shuffle: int = 1
    typesize: int = 1
    blocksize: int = 0

    def encode(self, data: Bytes) -> bytes:
        """Give one frame; blosc holds at most 2 GiB."""
        size = byte_view(data).nbytes
        if size > BLOSC_LIMIT:
            raise ArgumentError(
                f"a cell of {size} bytes is too large for blosc, which holds {BLOSC_LIMIT}; "
                "use smaller chunks or compressor='zstd'"
            )
        return bytes(
            numcodecs.blosc.compress(
                byte_view(data), self.cname.encode(), self.clevel, self.shuffle, self.blocksize, self.typesize
            )
        )

    def decode(self, data: Bytes, limit: int | None) -> bytes:
        """Decode one frame after checking the lengths that its header states."""
        view = byte_view(data)
        size = self.decoded_size(data)
        stored = int.from_bytes(view[12:16], "little")
        if size is None or stored != view.nbytes:
            raise ArrayError(f"damaged blosc frame: {view.nbytes} bytes are present, its header states {stored}")
        _check_limit("blosc", size, limit)
        if size == 0:
            return b""
        try:
            return bytes(numcodecs.blosc.decompress(data))
        except (RuntimeError, ValueError, MemoryError, SystemError) as error:
            raise ArrayError(f"damaged blosc frame of {view.nbytes} bytes: {error}") from error

    def decoded_size(self, data: Bytes) -> int | None:
        """Read the decoded size of the 16-byte header."""
        view = byte_view(data)
        return _plausible("blosc", int.from_bytes(view[4:8], "little"), data) if view.nbytes >= 16 else None


@dataclass(frozen=True, slots=True)
class GzipCodec:
    """Gzip members (RFC 1952), one after another; written without a time stamp."""

    level: int = 5

    def encode(self, data: Bytes) -> bytes:
        """Give one member, the same bytes for the same input."""
        packer = zlib.compressobj(self.level, zlib.DEFLATED, 31)
        return packer.compress(byte_view(data)) + packer.flush()

    def decode(self, data: Bytes, limit: int | None) -> bytes:
        """Decode every member, stopping as soon as `limit` is passed."""
        rest: bytes | memoryview = byte_view(data)
        parts: list[bytes] = []
        size = 0
        while True:
            unpacker = zlib.decompressobj(31)
            try:
                parts.append(unpacker.decompress(rest, 0 if limit is None else limit - size + 1))
            except zlib.error as error:
                raise ArrayError(f"damaged gzip frame of {len(data)} bytes: {error}") from error
            size += len(parts[-1])
            _check_limit("gzip", size, limit)
            if not unpacker.eof:
                raise ArrayError(f"truncated gzip frame of {len(data)} bytes")
            rest = unpacker.unused_data
            if not rest:
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def decoded_size(self, data: Bytes) -> int | None:
        """Give None: gzip states its size only at the end, and modulo 2**32."""
        return None


@dataclass(frozen=True, slots=True)
class ChecksumCodec:
    """Bytes followed by their CRC-32C."""

    def encode(self, data: Bytes) -> bytes:
        """Append the checksum."""
        flat = data if type(data) is bytes else byte_view(data)
        return b"".join((flat, checksum_bytes(flat)))

    def decode(self, data: Bytes, limit: int | None) -> memoryview:
        """Verify and drop the checksum."""
        body = self.strip(data)
        _check_limit("crc32c", body.nbytes, limit)
        if not is_sound(data):
            stored = int.from_bytes(byte_view(data)[-CHECKSUM_LENGTH:], "little")
            found = crc32c(body)
            raise ArrayError(
                f"its {body.nbytes} bytes are damaged: {stored:#010x} is their checksum, not {found:#010x}"
            )
        return body

    def strip(self, data: Bytes) -> memoryview:
        """Give the bytes without the checksum, unverified."""
        view = byte_view(data)
        if view.nbytes < CHECKSUM_LENGTH:
            raise ArrayError(f"{view.nbytes} bytes are present where a checksum alone takes {CHECKSUM_LENGTH}")
        return view[:-CHECKSUM_LENGTH]

    def decoded_size(self, data: Bytes) -> int | None:
        """Give the length without the checksum."""
        return self.strip(data).nbytes


@dataclass(frozen=True, slots=True)
class GenericCodec:
    """Any other bytes-to-bytes codec of numcodecs."""

    identifier: str
    configuration: Document
    codec: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the codec that does the work."""
        made = numcodecs.get_codec({"id": self.identifier, **self.configuration})
        object.__setattr__(self, "codec", made)

    def encode(self, data: Bytes) -> bytes:
        """Give what the codec makes of the bytes."""
        return memoryview(self.codec.encode(data)).tobytes()

    def decode(self, data: Bytes, limit: int | None) -> bytes:
        """Decode; but for lz4 the size is known only afterwards."""
        _check_limit(self.identifier, self.decoded_size(data), limit)
        try:
            decoded = memoryview(self.codec.decode(data)).tobytes()
        except Exception as error:  # each codec of numcodecs raises types of its own
            raise ArrayError(f"damaged {self.identifier} frame of {len(data)} bytes: {error}") from error
        _check_limit(self.identifier, len(decoded), limit)
        return decoded

    def decoded_size(self, data: Bytes) -> int | None:
        """Read the size that numcodecs puts before an lz4 block; None for other codecs."""
        if self.identifier != "lz4" or byte_view(data).nbytes < 4:
            return None
        return _plausible("lz4", int.from_bytes(byte_view(data)[:4], "little"), data)


def _blosc(cname: str = "zstd", shuffle: str | int = "noshuffle", **settings: int) -> BloscCodec:
    if cname not in BLOSC_COMPRESSORS:
        raise UnsupportedFeatureError(f"blosc compressor {cname!r} is not known; known are {BLOSC_COMPRESSORS}")
    number = BLOSC_SHUFFLES.get(shuffle, -1) if isinstance(shuffle, str) else shuffle
    if number not in BLOSC_SHUFFLES.values():
        raise UnsupportedFeatureError(f"blosc shuffle {shuffle!r} is not known; known are {list(BLOSC_SHUFFLES)}")
    return BloscCodec(cname=cname, shuffle=number, **settings)


_MAKERS: Final[dict[str, Callable[..., Codec]]] = {
    "zstd": ZstdCodec,
    "blosc": _blosc,
    "gzip": GzipCodec,
    CHECKSUM_NAME: ChecksumCodec,
    "numcodecs.zstd": ZstdCodec,
    "numcodecs.blosc": _blosc,
    "numcodecs.gzip": GzipCodec,
}


def codec_from_document(document: Document) -> Codec:
    """Make the codec that a Zarr v3 codec document describes.

    Parameters
    ----------
    document : dict
        ``{"name": …, "configuration": {…}}``; the configuration may be absent.

    Raises
    ------
    UnsupportedFeatureError
        The codec, or a setting of it, is not known here.
    """
    name = document.get("name") if isinstance(document, dict) else None
    settings = (document.get("configuration") or {}) if isinstance(document, dict) else None
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise UnsupportedFeatureError(f"a codec must be described by a name and a configuration, got {document!r:.200}")
    generic = name.removeprefix("numcodecs.")
    try:
        if name in _MAKERS:
            return _MAKERS[name](**settings)
        if name == f"numcodecs.{generic}" and generic in _GENERIC:
            return GenericCodec(generic, {key: value for key, value in settings.items() if key != "id"})
    except (TypeError, ValueError) as error:
        raise UnsupportedFeatureError(f"codec {name!r} cannot be set up with {settings!r}: {error}") from error
    known = [*_MAKERS, *(f"numcodecs.{each}" for each in _GENERIC)]
    raise UnsupportedFeatureError(f"codec {name!r} is not known here; known are {', '.join(known)}")
