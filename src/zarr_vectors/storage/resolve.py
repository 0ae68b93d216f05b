"""What a user names as the place of a store → a storage."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

import zarr.abc.store
import zarr.storage

from zarr_vectors.exceptions import ArgumentError, MissingExtraError, StoreError, UnsupportedFeatureError
from zarr_vectors.storage.adapter import StorageStore
from zarr_vectors.storage.backend import BackendStorage, StorageBackend
from zarr_vectors.storage.connect import OBJECT_SCHEMES, connect
from zarr_vectors.storage.failures import without_secrets
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.object import ObjectStorage
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.repository import SCHEME, icechunk, is_repository, parse_place
from zarr_vectors.storage.transactional import IcechunkStorage
from zarr_vectors.storage.zarr_backed import ZarrStorage

StorePath: TypeAlias = "str | os.PathLike[str] | zarr.abc.store.Store | Storage | object"
"""What can be opened: a path, a URL, a zarr-python store, a storage, or what has one (a `Group`)."""

Mode: TypeAlias = Literal["r", "r+", "a", "w", "w-"]
"""As in Python's own `open` and zarr-python: only ``"r"`` refuses writes."""

Backend: TypeAlias = Literal["local", "obstore", "fsspec", "zarr", "icechunk"]
"""Which library reaches the store."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+")
_MODES = ("r", "r+", "a", "w", "w-")
_BACKENDS = ("local", "obstore", "fsspec", "zarr", "icechunk")


def detect_scheme(url: str | os.PathLike[str]) -> str:
    """Give the scheme of a URL.

    Parameters
    ----------
    url : str or path
        A URL or a path.

    Returns
    -------
    str
        The part before ``://`` in lower case (``"s3"``, ``"file"``, …); ``""`` for a local path, also for
        one with a Windows drive letter.

    Examples
    --------
    >>> detect_scheme("S3://bucket/store.zv")
    's3'
    >>> detect_scheme("C:/data/store.zv")
    ''
    """
    head, mark, _ = os.fspath(url).partition("://")
    return head.lower() if mark and _SCHEME.fullmatch(head) else ""


def resolve_storage(
    path: StorePath, *, mode: Mode = "r", backend: Backend | None = None, **backend_kwargs: Any
) -> Storage:
    """Open the place of a store, without asking it anything.

    Parameters
    ----------
    path : str, path, zarr Store, Storage, StorageBackend, or object with a `storage` attribute
        Where the store is or will be. A storage is given back as it is, whatever the mode.
    mode : {"r", "r+", "a", "w", "w-"}
        ``"r"`` refuses writes; the others allow them.
    backend : {"local", "obstore", "fsspec", "zarr", "icechunk"}, optional
        Which library to use. By default local files for paths, obstore for the URLs it knows, fsspec for
        the others; Icechunk for ``icechunk://`` and ``icechunk+s3://`` URLs, and for folders that hold one of its
        repositories.
    **backend_kwargs
        Options of the object store, as obstore or fsspec name them. With Icechunk also `branch` (``"main"``),
        `message` of the commits that functions make which were given a path, and, for reading, `tag` or
        `snapshot_id`.

    Returns
    -------
    Storage
        Whether anything is there is not checked.

    Raises
    ------
    ArgumentError
        The mode, the backend or an option is not known, or they do not fit the path.
    UnsupportedFeatureError
        Nothing here opens URLs of this scheme.
    MissingExtraError
        fsspec or Icechunk would be needed and is not installed.
    ReadOnlyStoreError
        The URL is one of plain HTTP, and the mode allows writing.
    StoreError
        A host that fsspec asks at once does not answer.
    """
    if mode not in _MODES:
        raise ArgumentError(f"mode {mode!r} is not known: use one of {', '.join(map(repr, _MODES))}")
    if backend is not None and backend not in _BACKENDS:
        raise ArgumentError(f"backend {backend!r} is not known: use one of {', '.join(map(repr, _BACKENDS))}")
    if not isinstance(path, str | os.PathLike):
        return _from_object(path, mode == "r", backend_kwargs)
    text = os.fspath(path)
    scheme = detect_scheme(text)
    chosen = backend or _default_backend(scheme, text)
    if chosen == "icechunk":
        return _through_icechunk(text, mode == "r", backend_kwargs)
    if chosen == "local":
        _no_options(text, backend_kwargs)
        return LocalStorage(_local_path(text, scheme), read_only=mode == "r")
    if chosen == "obstore":
        if scheme not in OBJECT_SCHEMES:
            raise ArgumentError(f"obstore does not open {without_secrets(text)!r}; it knows {_known()}")
        return connect(text, read_only=mode == "r", options=backend_kwargs)
    if chosen == "fsspec":
        return _through_fsspec(text, scheme, mode == "r", backend_kwargs)
    raise ArgumentError("backend='zarr' takes a zarr-python Store object as the path, not a string")


def _default_backend(scheme: str, text: str) -> Backend:
    if scheme == SCHEME or scheme.startswith(f"{SCHEME}+"):
        return "icechunk"
    if scheme in ("", "file"):
        return "icechunk" if is_repository(_local_path(text, scheme)) else "local"
    return "obstore" if scheme in OBJECT_SCHEMES else "fsspec"


def _known() -> str:
    return ", ".join(f"{scheme}://" for scheme in sorted(OBJECT_SCHEMES))


def _no_options(path: str, options: dict[str, Any]) -> None:
    if options:
        raise ArgumentError(
            f"{without_secrets(path)!r} is a local path and takes no storage options: {', '.join(sorted(options))}"
        )


def local_folder(path: str | os.PathLike[str]) -> Path | None:
    """Return the folder that a path or ``file://`` URL names, None where it names something else."""
    text = os.fspath(path)
    scheme = detect_scheme(text)
    try:
        return _local_path(text, scheme) if scheme in ("", "file") else None
    except ArgumentError:
        return None


def _local_path(text: str, scheme: str) -> Path:
    if not text:
        raise ArgumentError("the path is empty: give the folder of the store")
    if "\x00" in text:
        raise ArgumentError(f"the path {text!r} holds a NUL character")
    if not scheme:
        return Path(text)
    if scheme != "file":
        raise ArgumentError(f"backend='local' opens paths and file:// URLs, not {without_secrets(text)!r}")
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise ArgumentError(f"{without_secrets(text)!r} names another host: write file:///absolute/path")
    return Path(url2pathname(parts.path))


def _from_object(place: object, read_only: bool, options: dict[str, Any]) -> Storage:
    if options:
        raise ArgumentError(f"a {type(place).__name__} takes no storage options: {', '.join(sorted(options))}")
    if isinstance(place, zarr.storage.LocalStore):
        return LocalStorage(place.root, read_only=read_only or place.read_only)
    if isinstance(place, zarr.storage.ObjectStore):
        url = without_secrets(str(place.store))
        return ObjectStorage(place.store, "", url, read_only=read_only or place.read_only)
    if isinstance(place, StorageStore) and not read_only and not place.read_only:
        return place.storage
    if type(place).__module__.partition(".")[0] == SCHEME and hasattr(place, "session"):
        return IcechunkStorage.of(place, read_only=read_only)
    if isinstance(place, zarr.abc.store.Store):
        return ZarrStorage(place, refuse_writes=read_only)
    if isinstance(place, Storage):
        return place
    if isinstance(storage := getattr(place, "storage", None), Storage):
        return storage
    if isinstance(place, StorageBackend):
        return BackendStorage(place, refuse_writes=read_only)
    raise ArgumentError(
        f"a {type(place).__name__} cannot be opened: give a path, a URL, a zarr-python Store or a Group"
    )


def _through_icechunk(text: str, read_only: bool, options: dict[str, Any]) -> Storage:
    icechunk()
    names = ("branch", "message", "tag", "snapshot_id")
    ours = {name: options[name] for name in names if options.get(name) is not None}
    version: dict[str, str] = {name: ours.pop(name) for name in ("tag", "snapshot_id") if name in ours}
    if len(version) + ("branch" in ours) > 1:
        raise ArgumentError("branch, tag and snapshot_id name a version each: give one of them")
    if version and not read_only:
        raise ArgumentError(f"{next(iter(version))}: a version that is named can only be read; write to a branch")
    if not str(ours.get("message", "-")).strip():
        raise ArgumentError("message: say what was done; it may not be empty")
    place = parse_place(text, {name: value for name, value in options.items() if name not in names})
    return IcechunkStorage.at(place, read_only=read_only, version=version, **ours)


def _through_fsspec(text: str, scheme: str, read_only: bool, options: dict[str, Any]) -> Storage:
    shown = without_secrets(text)
    try:
        import fsspec  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(
            f"{shown!r} needs fsspec, since obstore only opens {_known()}: "
            f"install it with pip install 'zarr-vectors[fsspec]'"
        ) from error
    if scheme and scheme not in fsspec.available_protocols():
        raise UnsupportedFeatureError(
            f"{shown!r}: neither obstore nor fsspec knows the scheme {scheme!r}; obstore opens {_known()}"
        )
    try:
        store = zarr.storage.FsspecStore.from_url(text, storage_options=options or None, read_only=read_only)
    except ImportError as error:
        raise MissingExtraError(f"{shown!r}: {error}; install the package that fsspec names") from error
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{shown!r} cannot be opened with fsspec: {without_secrets(str(error))}") from error
    except Exception as error:  # some file systems connect at once, each with errors of its own
        raise StoreError(
            f"{shown!r} cannot be reached by {scheme}://, through fsspec: {without_secrets(str(error))}; check the "
            f"host and the login, or use a scheme that needs no fsspec: {_known()}"
        ) from error
    return ZarrStorage(store)
