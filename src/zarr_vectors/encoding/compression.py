"""What a user asks for as ``compressor`` → Zarr v3 codec documents → a pipeline that runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from zarr_vectors.encoding.blosc_frames import decode_small
from zarr_vectors.encoding.checksum import CHECKSUM_LENGTH, CHECKSUM_NAME, without_checksums
from zarr_vectors.encoding.codecs import (
    BLOSC_SHUFFLES,
    DECODED_LIMIT,
    LARGEST_RATIO,
    BloscCodec,
    ChecksumCodec,
    Codec,
    ZstdCodec,
    codec_from_document,
)
from zarr_vectors.encoding.flat import byte_view
from zarr_vectors.encoding.ragged import frame_cell
from zarr_vectors.encoding.zstd_frames import decode_together, stated_sizes
from zarr_vectors.exceptions import ArgumentError, ArrayError, UnsupportedFeatureError
from zarr_vectors.typing import Bytes, Document, IntArray

ACCEPTED_NAMES: Final = ("auto", "none", "zstd", "blosc", "lz4", "gzip")
"""Names that ``compressor`` takes; all but the first two may carry a level, as in ``"zstd:3"``."""

_DEFAULT_LEVELS: Final = {"zstd": 1, "blosc": 1, "lz4": 5, "gzip": 5}
_LEVEL_RANGES: Final = {"zstd": (-131072, 22), "blosc": (0, 9), "lz4": (0, 9), "gzip": (0, 9)}
_BLOSC_TYPESIZE_LIMIT: Final = 255
_DEFAULT_BLOCKSIZE: Final = 2**19


def resolve_compressor(compressor: Any, *, itemsize: int = 1) -> list[Document]:
    """Turn what a user may pass as ``compressor`` into Zarr v3 bytes-to-bytes codec documents.

    Parameters
    ----------
    compressor : None, str, mapping, codec object, or sequence of these
        None and ``"none"`` store plain bytes. ``"auto"`` is the default chosen by measurement
        (``docs/design/002-default-compressor.md``). ``"zstd"``, ``"blosc"``, ``"lz4"`` (inside blosc, since
        Zarr v3 has no bare lz4) and ``"gzip"`` may carry a level: ``"zstd:3"``. A mapping is a codec
        document (``{"name": …, "configuration": {…}}``) or a numcodecs configuration (``{"id": …}``). An
        object gives either by its ``to_dict()`` or ``get_config()``. A sequence is a chain of codecs.
    itemsize : int, optional
        Bytes of one number of the array, for blosc's shuffle where none is given.

    Returns
    -------
    list of dict
        Codec documents in encoding order; empty for plain bytes.

    Raises
    ------
    ArgumentError
        `compressor` is none of the above, or names a codec or level that does not exist.
    """
    if compressor is None:
        return []
    if isinstance(compressor, str):
        return _from_name(compressor, itemsize)
    if isinstance(compressor, Sequence) and not isinstance(compressor, bytes | bytearray | memoryview):
        return [document for each in compressor for document in resolve_compressor(each, itemsize=itemsize)]
    document = _as_document(compressor, itemsize)
    try:
        codec_from_document(document)
    except UnsupportedFeatureError as error:
        raise ArgumentError(f"compressor={compressor!r} cannot be used: {error}") from error
    return [document]


def with_checksum(codecs: Sequence[Document]) -> list[Document]:
    """Return codecs that end with a checksum of what is stored."""
    return [*codecs] if has_checksum(codecs) else [*codecs, {"name": CHECKSUM_NAME}]


def without_checksum(codecs: Sequence[Document]) -> list[Document]:
    """Return codecs without the checksum that they may end with."""
    return [*codecs[: len(codecs) - has_checksum(codecs)]]


def has_checksum(codecs: Sequence[Document]) -> bool:
    """Return whether codecs end with a checksum of what is stored."""
    return bool(codecs) and codecs[-1].get("name") == CHECKSUM_NAME


def _from_name(text: str, itemsize: int) -> list[Document]:
    name, _, level_text = text.strip().lower().partition(":")
    if name not in ACCEPTED_NAMES:
        raise ArgumentError(
            f"compressor={text!r} is not known; use one of {', '.join(map(repr, ACCEPTED_NAMES))}, "
            "a level as in 'zstd:3', a codec document, a codec object, or a list of these"
        )
    if name == "none" and not level_text:
        return []
    if name == "auto" and not level_text:
        return _default_documents(itemsize)
    low, high = _LEVEL_RANGES.get(name, (0, -1))
    try:
        level = int(level_text) if level_text else _DEFAULT_LEVELS[name]
    except ValueError:
        level = high + 1
    if not low <= level <= high:
        takes = f"levels {low} to {high}" if high >= low else "no level"
        raise ArgumentError(f"compressor={text!r}: {name!r} takes {takes}, not {level_text!r}")
    if name == "zstd":
        return [{"name": "zstd", "configuration": {"level": level, "checksum": False}}]
    if name == "gzip":
        return [{"name": "gzip", "configuration": {"level": level}}]
    return [_blosc_document("lz4" if name == "lz4" else "zstd", level, itemsize)]


def _default_documents(itemsize: int) -> list[Document]:
    """Give the default: on numbers of several bytes smaller than zstd and faster both ways; zstd on bytes."""
    if itemsize == 1:
        return [{"name": "zstd", "configuration": {"level": 1, "checksum": False}}]
    return [_blosc_document("zstd", 1, itemsize, blocksize=_DEFAULT_BLOCKSIZE)]


def _blosc_document(cname: str, level: int, itemsize: int, blocksize: int = 0) -> Document:
    configuration = {"cname": cname, "clevel": level, "blocksize": blocksize, **_shuffle_settings(itemsize)}
    return {"name": "blosc", "configuration": configuration}


def _shuffle_settings(itemsize: int) -> Document:
    usable = 1 < itemsize <= _BLOSC_TYPESIZE_LIMIT
    return {"shuffle": "shuffle" if usable else "noshuffle", "typesize": itemsize if usable else 1}


def _as_document(codec: Any, itemsize: int) -> Document:
    if isinstance(codec, Mapping):
        source = dict(codec)
    elif callable(getattr(codec, "to_dict", None)):
        source = dict(codec.to_dict())
    elif callable(getattr(codec, "get_config", None)):
        source = dict(codec.get_config())
    else:
        raise ArgumentError(
            f"compressor={codec!r} ({type(codec).__name__}) is not a name, a codec document, "
            "a codec object with to_dict(), or a list of these"
        )
    if "id" in source and "name" not in source:
        return _from_numcodecs(source, itemsize)
    if not isinstance(source.get("name"), str):
        raise ArgumentError(f"compressor={codec!r} has no 'name'; a codec document names its codec")
    document: Document = {"name": source["name"]}
    configuration = dict(source.get("configuration") or {})
    if source["name"] == "blosc":
        configuration = _complete_blosc(configuration, itemsize)
    if configuration:
        document["configuration"] = configuration
    return document


def _complete_blosc(configuration: Document, itemsize: int) -> Document:
    """Fill in what Zarr v3 requires; a codec object that was given no item size says 1."""
    settings = {"cname": "zstd", "clevel": 5, "blocksize": 0, **_shuffle_settings(itemsize), **configuration}
    if settings["typesize"] == 1 and 1 < itemsize <= _BLOSC_TYPESIZE_LIMIT:
        settings["typesize"] = itemsize
    return settings


def _from_numcodecs(configuration: Document, itemsize: int) -> Document:
    settings = dict(configuration)
    identifier = settings.pop("id")
    if identifier == "blosc":
        names = {number: name for name, number in BLOSC_SHUFFLES.items()}
        shuffle = settings.get("shuffle", 1)
        settings["shuffle"] = names.get(shuffle, "shuffle" if itemsize > 1 else "bitshuffle")
        settings = {key: value for key, value in settings.items() if value is not None}
        return {"name": "blosc", "configuration": _complete_blosc(settings, itemsize)}
    if identifier == "zstd":
        settings = {"level": settings.get("level", 0), "checksum": settings.get("checksum", False)}
    name = identifier if identifier in ("zstd", "gzip", "crc32c") else f"numcodecs.{identifier}"
    return {"name": name, "configuration": settings}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A chain of bytes-to-bytes codecs; an empty one passes bytes through.

    Attributes
    ----------
    codecs : tuple of Codec
        In encoding order. Use :meth:`from_documents` to make a pipeline.

    Notes
    -----
    A pipeline holds no state and may be shared by threads.
    """

    codecs: tuple[Codec, ...] = ()

    @classmethod
    def from_documents(cls, documents: Sequence[Document]) -> Self:
        """Make the pipeline that Zarr v3 codec documents describe.

        Parameters
        ----------
        documents : sequence of dict
            Bytes-to-bytes codec documents in encoding order.

        Raises
        ------
        UnsupportedFeatureError
            A codec, or a setting of one, is not known here.
        """
        return cls(tuple(codec_from_document(document) for document in documents))

    @property
    def checked(self) -> bool:
        """Whether what is stored ends with its checksum."""
        return bool(self.codecs) and isinstance(self.codecs[-1], ChecksumCodec)

    @property
    def compressed(self) -> bool:
        """Whether what is stored is anything but the bytes of a cell and perhaps their checksum."""
        return len(self.codecs) > self.checked

    def encode(self, data: Bytes) -> bytes:
        """Run the codecs over one cell.

        Raises
        ------
        ArgumentError
            The cell is larger than a codec can hold.
        """
        for codec in self.codecs:
            data = codec.encode(data)
        return data if isinstance(data, bytes) else bytes(data)

    def encode_cell(self, payload: Bytes) -> bytes:
        """Frame the payload of one chunk as the cell of a grid array, and run the codecs over it.

        Raises
        ------
        ArgumentError
            The payload is larger than a cell or a codec can hold.
        """
        if self.checked and not self.compressed:
            return frame_cell(payload, checksum=True)
        return self.encode(frame_cell(payload))

    def decode(self, data: Bytes, expected: int | None = None, *, limit: int | None = None) -> bytes | memoryview:
        """Undo :meth:`encode`.

        Parameters
        ----------
        data : bytes-like
            One encoded cell.
        expected : int, optional
            Bytes that must come out.
        limit : int, optional
            Largest number of bytes that may come out. A frame that states its size is refused before
            memory is taken for it, one that does not as soon as its size is known. `DECODED_LIMIT` always holds.

        Returns
        -------
        bytes or memoryview
            The decoded cell; a view of `data` where nothing had to be decoded.

        Raises
        ------
        ArrayError
            The bytes are damaged, or decode to another size than allowed.
        """
        limit = min(DECODED_LIMIT, expected if limit is None and expected is not None else limit or DECODED_LIMIT)
        if expected is None and len(self.codecs) == 1:
            return self.codecs[0].decode(data, limit)
        decoded: Bytes = data
        for index in range(len(self.codecs) - 1, -1, -1):
            decoded = self.codecs[index].decode(decoded, limit if index == 0 else DECODED_LIMIT)
        view = byte_view(decoded)
        if view.nbytes > limit:
            raise ArrayError(f"a cell holds {view.nbytes} bytes where at most {limit} are allowed")
        if expected is not None and view.nbytes != expected:
            raise ArrayError(f"a cell decodes to {view.nbytes} bytes where {expected} are expected")
        return decoded if isinstance(decoded, bytes) else view

    def decode_many(self, cells: Sequence[Bytes]) -> Sequence[Bytes]:
        """Undo :meth:`encode` for many cells; small ones take less time together than one by one.

        Raises
        ------
        ArrayError
            The bytes of a cell are damaged.
        """
        if self.checked:
            bare = without_checksums(cells)
            if bare is None:
                return [self.decode(cell) for cell in cells]
            return Pipeline(self.codecs[:-1]).decode_many(bare)
        if not self.codecs:
            return cells
        found: Sequence[Bytes | None] | None = None
        if len(self.codecs) == 1 and isinstance(self.codecs[0], ZstdCodec):
            found = decode_together(cells, LARGEST_RATIO)
        elif len(self.codecs) == 1 and isinstance(self.codecs[0], BloscCodec):
            found = decode_small(cells, LARGEST_RATIO)
        found = [None] * len(cells) if found is None else found
        return [self.decode(cell) if done is None else done for cell, done in zip(cells, found, strict=True)]

    def decoded_size(self, data: Bytes) -> int | None:
        """Tell how many bytes a cell decodes to, by its header alone.

        Returns
        -------
        int or None
            The size; None where no header states it.

        Raises
        ------
        ArrayError
            The cell is shorter than the checksum it must end with.
        """
        view = byte_view(data)
        for index in range(len(self.codecs) - 1, -1, -1):
            codec = self.codecs[index]
            if isinstance(codec, ChecksumCodec):
                view = codec.strip(view)
            else:
                return codec.decoded_size(view) if index == 0 else None
        return view.nbytes

    def decoded_sizes(self, cells: Sequence[Bytes]) -> IntArray | None:
        """Tell how many bytes each of many cells decodes to, by their headers alone; None where one does not say.

        Raises
        ------
        ArrayError
            A cell is shorter than the checksum it must end with, or states more than it can hold.
        """
        if not self.compressed:
            sizes = np.fromiter(map(len, cells), np.int64, len(cells)) - CHECKSUM_LENGTH * self.checked
            return None if (sizes < 0).any() else sizes
        if self.checked:
            return Pipeline(self.codecs[:-1]).decoded_sizes([byte_view(cell)[:-CHECKSUM_LENGTH] for cell in cells])
        if len(self.codecs) == 1 and isinstance(self.codecs[0], ZstdCodec):
            stated = stated_sizes(cells, LARGEST_RATIO)
            if stated is not None:
                return stated
        found = [self.decoded_size(cell) for cell in cells]
        return None if None in found else np.array(found, np.int64)
