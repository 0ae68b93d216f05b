"""Errors of object stores, told without the credentials that their own messages may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from zarr_vectors.exceptions import ReadOnlyStoreError, StoreError, StoreNotFoundError, ZarrVectorsError

_WRITES = ("write", "delete", "move")
_SECRETS = re.compile(
    r"(?i)((?:signature|credential|security-token|access_?key(?:_?id)?|secret\w*|token|sig|password|authorization)"
    r"[\"']?\s*[=:]\s*[\"']?(?:bearer\s+|basic\s+)?)[^&\s\"',}]+"
)
_USER_IN_URL = re.compile(r"(?<=://)(?:[^/\s\"'<>]+@|[^/\s:@\"'<>]*:(?!\d+/)[^\s@\"'<>]*@)")
"""What stands before the last ``@`` of a host; passwords that hold a slash are found by the colon before them."""
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist")
_LONGEST = 300


def without_secrets(text: str) -> str:
    """Give a text with the values of keys, tokens, signatures and passwords in it replaced by ``***``."""
    return _SECRETS.sub(r"\1***", _USER_IN_URL.sub("***@", text))


def check_bucket(error: FileNotFoundError, verb: str, address: str, url: str) -> None:
    """Tell a missing bucket from a missing object.

    Raises
    ------
    StoreNotFoundError
        It is the bucket or container that is missing: the store says so, or it refuses a write or a listing,
        for which an object need not be there.
    """
    if verb in ("write", "list") or _NO_BUCKET.search(str(error)):
        raise _no_bucket(verb, address, url) from None


def _no_bucket(verb: str, address: str, url: str) -> StoreNotFoundError:
    return StoreNotFoundError(
        f"cannot {verb} {address!r} in {url}: its bucket or container does not exist; "
        f"create it first, or check the URL and the endpoint"
    )


def explain(error: Exception, verb: str, address: str, url: str, *, attempts: int = 1) -> StoreError:
    """Turn an error of an object store into ours.

    Parameters
    ----------
    error : Exception
        What obstore raised.
    verb : str
        What was tried: read, list, write, delete or move.
    address, url : str
        On what.
    attempts : int
        How often.

    Returns
    -------
    StoreError
        `ReadOnlyStoreError` when permission to write is denied, `StoreNotFoundError` without a bucket.
    """
    what = f"cannot {verb} {address!r} in {url}"
    text = str(error)
    if is_denied(error):
        kind = ReadOnlyStoreError if verb in _WRITES else StoreError
        return kind(
            f"{what}: permission denied; check the credentials and their rights, or pass anon=True for a public bucket"
        )
    if _NO_BUCKET.search(text):
        return _no_bucket(verb, address, url)
    summary = without_secrets(text.split("\n\nDebug source", 1)[0].strip())
    tries = f" (given up after {attempts} attempts)" if attempts > 1 else ""
    return StoreError(f"{what}{tries}: {summary[:_LONGEST]}")


@contextmanager
def explained(verb: str, address: str, url: str) -> Iterator[None]:
    """Turn errors of a library into ours, as :func:`explain` does; ours pass."""
    try:
        yield
    except ZarrVectorsError:
        raise
    except Exception as error:
        raise explain(error, verb, address, url) from error


def is_denied(error: Exception) -> bool:
    """Say whether the store refused a request for want of rights."""
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
        return True
    return bool(re.search(r"\b(401|403)\b.{0,40}(Unauthorized|Forbidden)|AccessDenied|permission", str(error)))
