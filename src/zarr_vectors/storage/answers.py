"""Taking in what a server sends, and no more, whatever size it states.

obstore allocates what an answer says of its own size and ends the process where that cannot be had, so answers are
taken as they come, into memory that NumPy asks for and that the system gives as it is filled.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage.documents import check_document_size
from zarr_vectors.storage.port import Blob

_AT_ONCE = 2**23
"""Bytes of an answer that obstore puts together before it gives them."""


def take_answer(answer: Any, address: str, most: int | None = None) -> Blob:
    """Take the body of an answer of obstore.

    Parameters
    ----------
    answer : obstore.GetResult
        The answer; its ``range`` says how many bytes it claims to have.
    address : str
        What was read, for messages.
    most : int, optional
        Bytes that were asked for.

    Raises
    ------
    StoreError
        The server states more than was asked, than a document may have, or than there is memory for, or sends more
        than it stated.
    """
    first, last = answer.range
    stated = last - first
    check_document_size(address, stated)
    if most is not None and stated > most:
        raise StoreError(f"cannot read {address!r}: {most} bytes were asked for, and the server answers with {stated}")
    try:
        target = memoryview(np.empty(stated, np.uint8).data) if stated > _AT_ONCE else None
    except (MemoryError, ValueError, OverflowError):
        raise too_large(address, stated) from None
    done, pieces = 0, []
    for block in answer.stream(_AT_ONCE):
        piece = memoryview(block)
        if done + len(piece) > stated:
            raise StoreError(f"cannot read {address!r}: the server states {stated} bytes and sends more")
        if target is None:
            pieces.append(piece)
        else:
            target[done : done + len(piece)] = piece
        done += len(piece)
    if target is not None:
        return target[:done].toreadonly()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def too_large(address: str, size: int) -> StoreError:
    """Return the error that there is no memory for what is said to be at an address."""
    return StoreError(
        f"cannot read {address!r}: {size} bytes are said to be there, and there is no memory for them; the store is "
        f"damaged or hostile, or needs a computer with more memory"
    )
