"""Bytes at addresses: getting, putting, listing and deleting many of them at once.

The only package that imports zarr, obstore, fsspec and icechunk; it knows nothing of the format.
"""

from zarr_vectors.storage.dense import decode_dense, dense_requests, encode_dense, fetch_dense
from zarr_vectors.storage.documents import DOCUMENT_NAME, document_bytes, group_document, parse_document
from zarr_vectors.storage.icechunk.sessions import IcechunkStorage
from zarr_vectors.storage.journal import Transaction, overlay
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.lock import Lock, acquire, break_lock, lock
from zarr_vectors.storage.object import ObjectStorage
from zarr_vectors.storage.port import (
    Blob,
    Listing,
    Range,
    Storage,
    check_address,
    get_one,
    get_whole,
    join,
    list_folder,
    put_one,
)
from zarr_vectors.storage.replace import (
    Replacement,
    begin_replacement,
    is_unfinished,
    is_vacant,
    recover,
)
from zarr_vectors.storage.resolve import Backend, Mode, StorePath, detect_scheme, resolve_storage
from zarr_vectors.storage.zarr_backed import ZarrStorage

__all__ = [
    "DOCUMENT_NAME",
    "Backend",
    "Blob",
    "IcechunkStorage",
    "Listing",
    "LocalStorage",
    "Lock",
    "Mode",
    "ObjectStorage",
    "Range",
    "Replacement",
    "Storage",
    "StorePath",
    "Transaction",
    "ZarrStorage",
    "acquire",
    "begin_replacement",
    "break_lock",
    "check_address",
    "decode_dense",
    "dense_requests",
    "detect_scheme",
    "document_bytes",
    "encode_dense",
    "fetch_dense",
    "get_one",
    "get_whole",
    "group_document",
    "is_unfinished",
    "is_vacant",
    "join",
    "list_folder",
    "lock",
    "overlay",
    "parse_document",
    "put_one",
    "recover",
    "resolve_storage",
]
